#define _GNU_SOURCE
#include "usb_mock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <umockdev.h>
#include <unistd.h>

// The thread sanitizer does not see that umockdev hands an ioctl from the thread that calls it to the one that answers.
#define ANSWERS_IOCTL __attribute__((no_sanitize("thread")))

typedef struct transfer {
  struct transfer *next;
  struct usbdevfs_urb *urb;
} transfer;

struct usb_mock_device {
  usb_mock_description description;
  usb_mock_functions functions;
  pthread_mutex_t mutex;
  UMockdevIoctlBase *handler;
  transfer *waiting, *ended;
  UMockdevIoctlClient *holder;  // who has claimed the interface
  int number;
  char node[64], syspath[64];
  int master, slave;            // of the pty that lends its poll(2) to the node
  int is_ready;
  bool is_gone;
  bool is_pumping, pumps_again;
};

static UMockdevTestbed *testbed;
static int last_number = 1;
static bool is_taken[128];  // numbers of a bus: 1, the root hub, to 127
static pthread_mutex_t number_mutex = PTHREAD_MUTEX_INITIALIZER;

// usbfs says POLLOUT while a transfer can be reaped. A pty slave says it unless its output is stopped.
static void set_ready(usb_mock_device *d) {
  int ready = d->ended != NULL || d->is_gone;
  if (d->slave < 0 || ready == d->is_ready) return;
  d->is_ready = ready;
  tcflow(d->slave, ready ? TCOON : TCOOFF);
}

static void append(transfer **list, transfer *t) {
  t->next = NULL;
  while (*list) list = &(*list)->next;
  *list = t;
}

ANSWERS_IOCTL static void finish(usb_mock_device *d, transfer *t, int status, int count) {
  t->urb->status = status;
  t->urb->actual_length = count;
  append(&d->ended, t);
}

ANSWERS_IOCTL static bool step(usb_mock_device *d, transfer *t) {
  struct usbdevfs_urb *urb = t->urb;
  uint8_t *buffer = urb->buffer;
  int count, asked = urb->buffer_length;
  if (d->is_gone) {
    finish(d, t, -ESHUTDOWN, 0);
    return true;
  }
  if (urb->type == USBDEVFS_URB_TYPE_CONTROL) {
    asked = buffer[6] | buffer[7] << 8;
    uint8_t setup[8];
    for (int i = 0; i < 8; i++) setup[i] = buffer[i];
    count = d->functions.control(d->functions.context, setup, buffer + 8, asked);
  } else if (urb->endpoint & 0x80) {
    count = d->functions.in(d->functions.context, urb->endpoint, buffer, asked);
  } else {
    count = d->functions.out(d->functions.context, urb->endpoint, buffer, asked);
  }
  switch (count) {
  case USB_MOCK_NAK: return false;
  case USB_MOCK_STALL: finish(d, t, -EPIPE, 0); break;
  case USB_MOCK_BABBLE:
    // What fitted is there, and is nothing that a host could use.
    for (int i = 0; i < asked; i++) buffer[i] = 0x5a;
    finish(d, t, -EOVERFLOW, asked);
    break;
  default: finish(d, t, 0, count);
  }
  return true;
}

// Only the first transfer of an endpoint moves; those behind it keep their order.
ANSWERS_IOCTL static void pump_once(usb_mock_device *d) {
  uint32_t blocked = 0;
  for (transfer **place = &d->waiting; *place;) {
    transfer *t = *place, *next = t->next;
    uint32_t bit = 1u << ((t->urb->endpoint & 15) + (t->urb->endpoint & 0x80 ? 16 : 0));
    if ((blocked & bit) == 0 && step(d, t)) {
      *place = next;
    } else {
      // Control requests do not wait for each other.
      if (t->urb->type != USBDEVFS_URB_TYPE_CONTROL) blocked |= bit;
      place = &t->next;
    }
  }
}

// A device's function may free room or have something to say, and so lead back here: then the round is repeated.
ANSWERS_IOCTL static void pump(usb_mock_device *d) {
  d->pumps_again = true;
  if (d->is_pumping) return;
  d->is_pumping = true;
  while (d->pumps_again) {
    d->pumps_again = false;
    pump_once(d);
  }
  d->is_pumping = false;
  set_ready(d);
}

ANSWERS_IOCTL static gboolean on_ioctl(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer data) {
  (void)base;
  usb_mock_device *d = data;
  unsigned long request = umockdev_ioctl_client_get_request(client);
  // The client lives in this process: its own pointer serves.
  void *argument = *(void **)umockdev_ioctl_client_get_arg(client)->data;
  int result = 0, error = 0;
  pthread_mutex_lock(&d->mutex);
  if (d->is_gone && request != USBDEVFS_REAPURB && request != USBDEVFS_REAPURBNDELAY &&
      request != USBDEVFS_DISCARDURB && request != USBDEVFS_GET_CAPABILITIES) {
    result = -1;
    error = ENODEV;
  } else {
    switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
      *(uint32_t *)argument = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                              USBDEVFS_CAP_BULK_SCATTER_GATHER | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
      break;
    case USBDEVFS_GETDRIVER:
    case USBDEVFS_IOCTL:  // connecting a kernel driver again: there is none
      result = -1;
      error = ENODATA;
      break;
    case USBDEVFS_DISCONNECT_CLAIM:
    case USBDEVFS_CLAIMINTERFACE:
      if (d->holder != NULL && d->holder != client) {
        result = -1;
        error = EBUSY;
      } else {
        d->holder = client;
      }
      break;
    case USBDEVFS_RELEASEINTERFACE:
      if (d->holder == client) d->holder = NULL;
      break;
    case USBDEVFS_SETINTERFACE:
    case USBDEVFS_SETCONFIGURATION:
      break;
    case USBDEVFS_RESET:
      // The kernel takes interfaces from their drivers, usbfs included, and ends what is under way (usb_reset_device).
      for (transfer *t = d->waiting; t;) {
        transfer *next = t->next;
        finish(d, t, -ENOENT, 0);
        t = next;
      }
      d->waiting = NULL;
      d->holder = NULL;
      d->functions.reset(d->functions.context);
      pump(d);
      break;
    case USBDEVFS_CLEAR_HALT:
      d->functions.clear_halt(d->functions.context, (uint8_t) * (unsigned *)argument);
      pump(d);
      break;
    case USBDEVFS_SUBMITURB: {
      transfer *t = calloc(1, sizeof *t);
      t->urb = argument;
      append(&d->waiting, t);
      pump(d);
      break;
    }
    case USBDEVFS_REAPURB:
    case USBDEVFS_REAPURBNDELAY:
      if (d->ended) {
        transfer *t = d->ended;
        d->ended = t->next;
        *(void **)argument = t->urb;
        free(t);
        set_ready(d);
      } else {
        result = -1;
        error = d->is_gone ? ENODEV : EAGAIN;
      }
      break;
    case USBDEVFS_DISCARDURB:
      result = -1;
      error = EINVAL;
      for (transfer **place = &d->waiting; *place; place = &(*place)->next) {
        if ((*place)->urb != argument) continue;
        transfer *t = *place;
        *place = t->next;
        finish(d, t, -ENOENT, 0);
        result = error = 0;
        pump(d);
        break;
      }
      break;
    default:
      result = -1;
      error = ENOTTY;
      fprintf(stderr, "usb_mock: unknown ioctl %#lx\n", request);
    }
  }
  pthread_mutex_unlock(&d->mutex);
  umockdev_ioctl_client_complete(client, result, error);
  return TRUE;
}

bool usb_mock_start(void) {
  // A closed pty master hangs up the process otherwise.
  signal(SIGHUP, SIG_IGN);
  if (testbed == NULL) testbed = umockdev_testbed_new();
  return umockdev_in_mock_environment();
}

usb_mock_device *usb_mock_device_new(usb_mock_description description, usb_mock_functions functions) {
  usb_mock_device *d = calloc(1, sizeof *d);
  d->description = description;
  d->description.manufacturer = strdup(description.manufacturer);
  d->description.name = strdup(description.name);
  d->description.serial = strdup(description.serial);
  d->functions = functions;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&d->mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  d->handler = umockdev_ioctl_base_new();
  g_signal_connect(d->handler, "handle-ioctl", G_CALLBACK(on_ioctl), d);
  snprintf(d->syspath, sizeof d->syspath, "/sys/devices/usb1/1-%d", description.port);
  d->master = d->slave = -1;
  d->is_ready = -1;
  d->is_gone = true;
  return d;
}

// Device and configuration: one vendor interface, bulk OUT 1, bulk IN 1, interrupt IN 2 of 16 bytes.
static void describe(const usb_mock_device *d, char *hex) {
  const usb_mock_description *s = &d->description;
  const uint8_t bytes[] = {
      18, 1, 0x00, 0x02, 0, 0, 0, 64, (uint8_t)s->vendor, (uint8_t)(s->vendor >> 8), (uint8_t)s->product,
      (uint8_t)(s->product >> 8), (uint8_t)s->bcd_device, (uint8_t)(s->bcd_device >> 8), 1, 2, 3, 1,
      9, 2, 39, 0, 1, 1, 0, 0x80, 50,
      9, 4, 0, 0, 3, 0xff, 0, 0, 0,
      7, 5, 0x01, 2, 0x00, 0x02, 0,
      7, 5, 0x81, 2, 0x00, 0x02, 0,
      7, 5, 0x82, 3, 16, 0, 4,
  };
  for (size_t i = 0; i < sizeof bytes; i++) hex += sprintf(hex, "%02x", bytes[i]);
}

void usb_mock_plug(usb_mock_device *d) {
  GError *error = NULL;
  pthread_mutex_lock(&number_mutex);
  // As the kernel does it: always the next one that is free.
  do last_number = last_number < 127 ? last_number + 1 : 2;
  while (is_taken[last_number]);
  int number = d->number = last_number;
  is_taken[number] = true;
  pthread_mutex_unlock(&number_mutex);
  snprintf(d->node, sizeof d->node, "/dev/bus/usb/001/%03d", number);
  umockdev_testbed_attach_ioctl(testbed, d->node, d->handler, &error);
  g_clear_error(&error);

  char path[512], slave[64], hex[256], text[2048];
  gchar *root = umockdev_testbed_get_root_dir(testbed);
  snprintf(path, sizeof path, "%s%s", root, d->node);
  g_free(root);
  pthread_mutex_lock(&d->mutex);
  d->is_gone = false;
  d->holder = NULL;
  d->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (d->master < 0 || grantpt(d->master) || unlockpt(d->master) || ptsname_r(d->master, slave, sizeof slave)) {
    perror("usb_mock: a pty (is devpts mounted?)");
    abort();
  }
  d->slave = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
  struct termios mode;
  tcgetattr(d->slave, &mode);
  cfmakeraw(&mode);
  tcsetattr(d->slave, TCSANOW, &mode);
  d->is_ready = -1;
  set_ready(d);
  gchar *folder = g_path_get_dirname(path);
  g_mkdir_with_parents(folder, 0755);
  g_free(folder);
  unlink(path);
  if (symlink(slave, path)) perror("usb_mock: symlink");
  pthread_mutex_unlock(&d->mutex);

  describe(d, hex);
  const usb_mock_description *s = &d->description;
  snprintf(text, sizeof text,
           "P: %s\nE: SUBSYSTEM=usb\nE: DRIVER=usb\nE: BUSNUM=001\nE: DEVNUM=%03d\nE: DEVNAME=%s\n"
           "E: DEVTYPE=usb_device\nE: ID_SERIAL_SHORT=%s\nA: busnum=1\\n\nA: devnum=%d\\n\n"
           "A: bConfigurationValue=1\\n\nA: bNumConfigurations=1\\n\nA: speed=480\\n\nA: idVendor=%04x\\n\n"
           "A: idProduct=%04x\\n\nA: manufacturer=%s\\n\nA: product=%s\\n\nA: serial=%s\\n\nH: descriptors=%s\n",
           d->syspath + 4, number, d->node, s->serial, number, s->vendor, s->product, s->manufacturer, s->name, s->serial,
           hex);
  if (!umockdev_testbed_add_from_string(testbed, text, &error)) {
    fprintf(stderr, "usb_mock: %s\n", error->message);
    g_clear_error(&error);
  }
}

void usb_mock_unplug(usb_mock_device *d) {
  pthread_mutex_lock(&d->mutex);
  d->is_gone = true;
  d->holder = NULL;
  pump(d);
  // The other end of the pty is gone: poll(2) says POLLERR, as usbfs does.
  close(d->master);
  close(d->slave);
  d->master = d->slave = -1;
  pthread_mutex_unlock(&d->mutex);
  umockdev_testbed_uevent(testbed, d->syspath, "remove");
  umockdev_testbed_remove_device(testbed, d->syspath);
  umockdev_testbed_detach_ioctl(testbed, d->node, NULL);
  pthread_mutex_lock(&number_mutex);
  is_taken[d->number] = false;
  pthread_mutex_unlock(&number_mutex);
}

void usb_mock_forbid(usb_mock_device *d) {
  char path[512];
  gchar *root = umockdev_testbed_get_root_dir(testbed);
  snprintf(path, sizeof path, "%s%s", root, d->node);
  g_free(root);
  unlink(path);
  // sysfs holds even root to the mode of its files, and nobody may write this one.
  if (symlink("/sys/kernel/uevent_seqnum", path)) perror("usb_mock: symlink");
}

void usb_mock_pump(usb_mock_device *d) {
  pthread_mutex_lock(&d->mutex);
  pump(d);
  pthread_mutex_unlock(&d->mutex);
}

int usb_mock_claims(usb_mock_device *d) {
  pthread_mutex_lock(&d->mutex);
  int claims = d->holder != NULL;
  pthread_mutex_unlock(&d->mutex);
  return claims;
}

int usb_mock_transfers(usb_mock_device *d) {
  int count = 0;
  pthread_mutex_lock(&d->mutex);
  for (transfer *t = d->waiting; t; t = t->next) count++;
  for (transfer *t = d->ended; t; t = t->next) count++;
  pthread_mutex_unlock(&d->mutex);
  return count;
}

size_t usb_mock_heap_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
