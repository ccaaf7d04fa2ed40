#pragma once
// USB devices that libusb and libudev take for real ones: usbfs and sysfs as umockdev pretends them.
//
// Needs libumockdev-preload. One testbed a process, never torn down: umockdev leaks descriptors with each.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct usb_mock_device usb_mock_device;

// What an endpoint may answer instead of a count of bytes.
enum {
  USB_MOCK_NAK = -1,     // nothing yet: the transfer waits
  USB_MOCK_STALL = -2,   // the endpoint halts
  USB_MOCK_BABBLE = -3,  // the device sends more than was asked for
};

// The device's side. Called under the device's lock, from several threads; of usb_mock_… functions it may call usb_mock_pump.
typedef struct {
  void *context;
  // `data` holds what came for a request out; for one in, the bytes of the answer are written there and counted.
  int (*control)(void *context, const uint8_t setup[8], uint8_t *data, int length);
  // One transfer out: returns the bytes taken, or USB_MOCK_STALL after having taken none.
  int (*out)(void *context, uint8_t endpoint, const uint8_t *bytes, int count);
  // One transfer in: writes and counts at most `capacity` bytes.
  int (*in)(void *context, uint8_t endpoint, uint8_t *bytes, int capacity);
  void (*clear_halt)(void *context, uint8_t endpoint);
  void (*reset)(void *context);
} usb_mock_functions;

// Strings and place of a device.
typedef struct {
  int port;              // of bus 1
  uint16_t vendor, product, bcd_device;
  const char *manufacturer, *name, *serial;
} usb_mock_description;

// False if the preload library is not active.
bool usb_mock_start(void);

usb_mock_device *usb_mock_device_new(usb_mock_description description, usb_mock_functions functions);
// Appears under the next device number, with an event.
void usb_mock_plug(usb_mock_device *device);
// Vanishes: transfers under way end as they do when a cable is pulled.
void usb_mock_unplug(usb_mock_device *device);
// From now on the node cannot be opened: EACCES, for root as well.
void usb_mock_forbid(usb_mock_device *device);
// Looks whether transfers that wait can go on.
void usb_mock_pump(usb_mock_device *device);
// Opens of the node that are claimed, and transfers that wait or have not been reaped.
int usb_mock_claims(usb_mock_device *device);
int usb_mock_transfers(usb_mock_device *device);

// Bytes of the heap that are in use.
size_t usb_mock_heap_bytes(void);
