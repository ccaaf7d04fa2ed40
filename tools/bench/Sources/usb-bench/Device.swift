import CUSBMock
import Synchronization

/// A board of which only the bus matters: it returns what it gets, or always has more to say.
///
/// Lives as long as the process: the mocked kernel keeps a pointer to it.
final class Device: Sendable {
  enum Manner: Sendable {
    case echo
    case endless
  }

  private struct State {
    var manner = Manner.echo
    /// Answers that wait, oldest first.
    var waiting: [[UInt8]] = []
  }

  let serial: String
  private let state = Mutex(State())
  // The C side locks; written once before anyone else knows of it.
  nonisolated(unsafe) private var raw: OpaquePointer?

  init(serial: String, port: Int32) {
    self.serial = serial
    var functions = usb_mock_functions()
    functions.context = Unmanaged.passRetained(self).toOpaque()
    functions.control = { _, setup, data, length in
      guard let setup, let data, setup[0] == 0xc0 else { return length }
      for index in 0..<Int(length) { data[index] = 0 }
      data[0] = 1
      return length
    }
    functions.out = { context, _, bytes, count in
      let device = Device.of(context)
      let answer = Array(UnsafeBufferPointer(start: bytes, count: Int(count)))
      device.state.withLock { $0.waiting.append(answer) }
      usb_mock_pump(device.raw)
      return count
    }
    functions.in = { context, endpoint, bytes, capacity in
      Device.of(context).say(endpoint, UnsafeMutableBufferPointer(start: bytes, count: Int(capacity)))
    }
    functions.clear_halt = { _, _ in }
    functions.reset = { _ in }
    raw = "RRAM toolkit".withCString { manufacturer in
      "RRAM test board".withCString { product in
        serial.withCString { serial in
          usb_mock_device_new(
            usb_mock_description(
              port: port, vendor: 0x1209, product: 0x0001, bcd_device: 0x0100, manufacturer: manufacturer,
              name: product, serial: serial), functions)
        }
      }
    }
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> Device {
    guard let context else { preconditionFailure("the mock lost its device") }
    return Unmanaged<Device>.fromOpaque(context).takeUnretainedValue()
  }

  private func say(_ endpoint: UInt8, _ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int32 {
    state.withLock { s in
      guard endpoint == 0x81 else { return Int32(USB_MOCK_NAK) }
      switch s.manner {
      case .endless:
        bytes.update(repeating: 0xa5)
        return Int32(bytes.count)
      case .echo:
        guard !s.waiting.isEmpty else { return Int32(USB_MOCK_NAK) }
        let answer = s.waiting.removeFirst()
        for (index, byte) in answer.enumerated() { bytes[index] = byte }
        return Int32(answer.count)
      }
    }
  }

  func plug(_ manner: Manner) {
    state.withLock { $0 = State(manner: manner) }
    usb_mock_plug(raw)
  }

  func unplug() { usb_mock_unplug(raw) }

  /// From now on nothing is said any more, so that a link can be closed at leisure.
  func quieten() { state.withLock { $0.manner = .echo } }
}
