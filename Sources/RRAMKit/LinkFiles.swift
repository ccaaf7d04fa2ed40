internal import RRAMBoard
internal import RRAMEmulatorUSB
internal import RRAMTransport
internal import RRAMUSB
internal import RRAMWire

/// Files that keep what crosses the link to a board.
public struct LinkFiles: Sendable, Hashable {
  /// USB packets (pcapng), for Wireshark.
  public var capture: String?
  /// A recording, for `replay:` addresses; gets its name when the session has ended well.
  public var recording: String?

  public init(capture: String? = nil, recording: String? = nil) {
    self.capture = capture
    self.recording = recording
  }

  /// Begins the capture, if one is wanted.
  func capture(of device: USBDevice?, address: String) throws(TransportError) -> USBCapture? {
    guard let path = capture else { return nil }
    // A link that is not USB is shown as the emulated board's USB would be.
    let described =
      device.map {
        USBDescription(
          vendorID: $0.vendorID, productID: $0.productID, bcdDevice: $0.bcdDevice,
          manufacturer: $0.manufacturer ?? "", product: $0.product ?? "", serial: $0.serial)
      } ?? USBDescription(serial: nil)
    return try USBCapture(
      path: path, device: described, bus: device.map { UInt16($0.bus) } ?? 1, number: device?.number ?? 1,
      address: address)
  }

  /// Runs `body` on a transport that also writes the files, and ends them.
  func keeping<Result: Sendable>(
    _ transport: any Transport, device: USBDevice? = nil,
    _ body: (any Transport) async throws -> Result
  ) async throws -> Result {
    var tapped = transport
    var capture: USBCapture?
    var recorder: RecordingTransport?
    do throws(TransportError) {
      capture = try self.capture(of: device, address: transport.address)
      if let capture { tapped = CapturingTransport(tapped, capture: capture) }
      recorder = try recording.map { path throws(TransportError) in try RecordingTransport(tapped, path: path) }
    } catch {
      await transport.close()
      throw error
    }
    do {
      let result = try await body(recorder ?? tapped)
      try await recorder?.finish()
      try await capture?.finish()
      return result
    } catch {
      try? await capture?.finish()
      throw error
    }
  }

  /// The session id that a recorded host gave itself: a replay has to send the same.
  static func sessionID(in sent: [UInt8]) -> UInt64? {
    var decoder = FrameDecoder(maximumPayloadBytes: 1 << 20)
    for case .frame(let frame) in decoder.decode(sent) {
      if case .hello(let hello)? = try? RequestMessage(payload: frame.payload).body { return hello.sessionID }
    }
    return nil
  }
}
