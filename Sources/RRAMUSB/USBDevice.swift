internal import CLibUSB
internal import CLibudev

/// A device on the bus, as it can be described without opening it.
public struct USBDevice: Sendable, Hashable, CustomStringConvertible {
  /// Number of the bus.
  public let bus: UInt8
  /// Number of the device on its bus; a device that comes back gets another one.
  public let number: UInt8
  /// Where it is plugged in, as the kernel names it: `1-2.4` is port 4 of the hub at port 2 of bus 1.
  public let port: String
  public let vendorID: UInt16
  public let productID: UInt16
  /// Release number of the device, binary-coded decimal.
  public let bcdDevice: UInt16
  public let manufacturer: String?
  public let product: String?
  public let serial: String?
  /// Path of the device node, as udev reports it.
  public let node: String?
  let reference: USBDeviceReference
  /// The numbers behind ``port``, from the root hub outwards.
  private let ports: [UInt8]

  /// The highest protocol level of the firmware: the two upper digits of `bcdDevice`.
  public var protocolLevel: Int { Int(bcdDevice >> 12) * 10 + Int(bcdDevice >> 8 & 15) }

  /// How people name it.
  public var address: String { "usb:\(serial ?? "")" }

  public var description: String { "\(serial ?? "no serial") (port \(port))" }

  public static func == (a: Self, b: Self) -> Bool {
    a.bus == b.bus && a.number == b.number && a.port == b.port && a.serial == b.serial
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(bus)
    hasher.combine(number)
  }

  /// Port 9 before port 10.
  func precedes(_ other: Self) -> Bool {
    bus == other.bus ? ports.lexicographicallyPrecedes(other.ports) : bus < other.bus
  }

  /// Whether ids and strings are those of `identity`.
  public func matches(_ identity: USBIdentity) -> Bool {
    vendorID == identity.vendorID && productID == identity.productID && manufacturer == identity.manufacturer
      && product == identity.product
  }

  /// Describes `raw` if its ids fit; the strings come from sysfs, so nothing is asked of the device.
  init?(_ raw: OpaquePointer, identity: USBIdentity, context: ContextCore) {
    var descriptor = libusb_device_descriptor()
    // Cached since the device was enumerated: no traffic.
    guard libusb_get_device_descriptor(raw, &descriptor) == 0, descriptor.idVendor == identity.vendorID,
      descriptor.idProduct == identity.productID
    else { return nil }
    bus = libusb_get_bus_number(raw)
    number = libusb_get_device_address(raw)
    // USB allows seven tiers of hubs.
    var ports = [UInt8](repeating: 0, count: 7)
    let depth = libusb_get_port_numbers(raw, &ports, Int32(ports.count))
    guard depth > 0 else { return nil }
    self.ports = Array(ports.prefix(Int(depth)))
    port = "\(bus)-" + self.ports.map(String.init).joined(separator: ".")
    vendorID = descriptor.idVendor
    productID = descriptor.idProduct
    bcdDevice = descriptor.bcdDevice
    let strings = SysfsStrings(port: port)
    manufacturer = strings.manufacturer
    product = strings.product
    serial = strings.serial
    node = strings.node
    reference = USBDeviceReference(raw, context: context)
  }
}

/// Keeps libusb's device, and the context that has to outlive it.
final class USBDeviceReference: Sendable {
  let context: ContextCore
  // Counted by libusb itself, which locks; the pointer never changes.
  nonisolated(unsafe) let raw: OpaquePointer

  init(_ raw: OpaquePointer, context: ContextCore) {
    self.raw = libusb_ref_device(raw)
    self.context = context
  }

  deinit { libusb_unref_device(raw) }
}

/// What the kernel has read from a device when it was plugged in.
private struct SysfsStrings {
  var manufacturer: String?
  var product: String?
  var serial: String?
  var node: String?

  init(port: String) {
    // One context a call: libudev's are not made for several threads, and this one costs microseconds.
    guard let udev = udev_new() else { return }
    defer { udev_unref(udev) }
    guard let device = udev_device_new_from_subsystem_sysname(udev, "usb", port) else { return }
    defer { udev_device_unref(device) }
    manufacturer = udev_device_get_sysattr_value(device, "manufacturer").map { String(cString: $0) }
    product = udev_device_get_sysattr_value(device, "product").map { String(cString: $0) }
    serial = udev_device_get_sysattr_value(device, "serial").map { String(cString: $0) }
    node = udev_device_get_devnode(device).map { String(cString: $0) }
  }
}
