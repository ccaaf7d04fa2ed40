internal import Glibc

/// Writes what crosses a link as USB packets to a pcapng file, which Wireshark and tshark open.
///
/// Packets look as Linux's usbmon reports them (link type 220, `LINKTYPE_USB_LINUX_MMAPPED`; layout: `struct mon_bin_hdr` in
/// Documentation/usb/usbmon.rst). A link that is not USB is shown as the board's USB would be: frames on bulk endpoints 1, doorbells on
/// interrupt endpoint 2, control requests on endpoint 0. The file begins with the descriptors, by which Wireshark tells the interface's
/// class. Of a process that died all packets are there that were handed over.
public final class USBCapture: Sendable {
  /// Transfer types of usbmon.
  fileprivate enum Kind: UInt8 {
    case interrupt = 1
    case control = 2
    case bulk = 3
  }

  /// A transfer that was submitted and has not completed.
  struct Submission: Sendable {
    fileprivate var id: UInt64
    fileprivate var kind: Kind
    fileprivate var endpoint: UInt8
    fileprivate var length: Int
  }

  private let device: USBDescription
  private let bus: UInt16
  private let number: UInt8
  private let file: AppendedFile
  private let now: @Sendable () -> UInt64
  private let lastID = Monitor<UInt64>(0)

  /// Wireshark takes at most 256 KiB a packet.
  private static let packetLimit = 128 * 1024
  /// What usbmon shows of a transfer that was just submitted.
  private static let inProgress = -EINPROGRESS

  /// Begins a capture; a file that is there is replaced.
  ///
  /// - Parameters:
  ///   - path: a file or a pipe.
  ///   - device: what packets are attributed to.
  ///   - bus: its bus.
  ///   - number: its number on the bus.
  ///   - address: the board's, for errors.
  ///   - now: nanoseconds since 1970.
  public init(
    path: String, device: USBDescription, bus: UInt16 = 1, number: UInt8 = 1, address: String,
    now: @escaping @Sendable () -> UInt64 = USBCapture.systemTime
  ) throws(TransportError) {
    self.device = device
    self.bus = bus
    self.number = number
    self.now = now
    file = try AppendedFile(path: path, address: address, followsLinks: true)
    file.append { Self.fileHead }
    enumerate()
  }

  /// Nanoseconds of the system's clock since 1970.
  public static func systemTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Returns once all packets are on the disk; later ones are dropped.
  ///
  /// - Throws: `io` if they could not be written.
  public func finish() async throws(TransportError) { try await file.finish() }

  // MARK: what happens on a link

  func send(_ bytes: [UInt8]) -> [Submission] {
    stride(from: 0, to: bytes.count, by: Self.packetLimit).map { start in
      let part = bytes[start..<min(start + Self.packetLimit, bytes.count)]
      return submit(.bulk, BoardEndpoint.bulkOut, data: Array(part))
    }
  }

  func receive(_ bytes: [UInt8]) {
    for start in stride(from: 0, to: bytes.count, by: Self.packetLimit) {
      let part = Array(bytes[start..<min(start + Self.packetLimit, bytes.count)])
      complete(submit(.bulk, BoardEndpoint.bulkIn, length: part.count), data: part)
    }
  }

  /// Runs a control request and writes it with its answer.
  public func control(
    _ request: ControlRequest, data: [UInt8],
    _ body: () async throws(TransportError) -> [UInt8]
  ) async throws(TransportError) -> [UInt8] {
    let isIn = request == .status
    let length = isIn ? 16 : data.count
    let submission = submit(
      .control, isIn ? 0x80 : 0, data: isIn ? [] : data, length: length,
      setup: [isIn ? 0xc0 : 0x40, request.rawValue, 0, 0, 0, 0] + UInt16(length).littleEndianBytes)
    do throws(TransportError) {
      let answer = try await body()
      complete(submission, data: isIn ? answer : [])
      return answer
    } catch {
      complete(submission, error: error)
      throw error
    }
  }

  func event(_ event: TransportEvent) {
    switch event {
    case .doorbell(let bell):
      complete(submit(.interrupt, BoardEndpoint.doorbell, length: bell.bytes.count), data: bell.bytes)
    case .linkLost(let error):
      complete(submit(.bulk, BoardEndpoint.bulkIn, length: 512), error: error)
    }
  }

  func complete(_ submission: Submission, data: [UInt8] = [], error: TransportError? = nil) {
    let isIn = submission.endpoint & 0x80 != 0
    // Out: all was taken, or nothing is known to be.
    let length = isIn ? data.count : error == nil ? submission.length : 0
    packet("C", submission, data: data, length: length, status: error.map(Self.status) ?? 0)
  }

  /// The number of usbfs that says the same.
  private static func status(_ error: TransportError) -> Int32 {
    switch error.code {
    case .closed: -ESHUTDOWN
    case .timedOut: -ETIMEDOUT
    case .refused: -EPIPE
    case .cancelled: -ENOENT
    case .protocolViolation: -EOVERFLOW
    default: -(error.errno ?? EIO)
    }
  }

  // MARK: descriptors

  /// What the kernel asks of a device that was plugged in.
  private func enumerate() {
    getDescriptor(type: 1)
    getDescriptor(type: 2)
    // English (United States).
    for index in 1...4 { getDescriptor(type: 3, index: UInt8(index), language: 0x0409) }
  }

  private func getDescriptor(type: UInt8, index: UInt8 = 0, language: UInt16 = 0) {
    guard let data = device.descriptor(type: type, index: index) else { return }
    let setup = [0x80, 6, index, type] + language.littleEndianBytes + UInt16(data.count).littleEndianBytes
    complete(submit(.control, 0x80, length: data.count, setup: setup), data: data)
  }

  // MARK: packets

  private func submit(
    _ kind: Kind, _ endpoint: UInt8, data: [UInt8] = [], length: Int? = nil, setup: [UInt8]? = nil
  ) -> Submission {
    let id = lastID.withLock { last in
      last += 1
      return last
    }
    let submission = Submission(id: id, kind: kind, endpoint: endpoint, length: length ?? data.count)
    packet("S", submission, data: data, length: submission.length, status: Self.inProgress, setup: setup)
    return submission
  }

  private func packet(
    _ event: Unicode.Scalar, _ submission: Submission, data: [UInt8], length: Int, status: Int32,
    setup: [UInt8]? = nil
  ) {
    file.append {
      // The time is taken in the order of the file: it never runs backwards there unless the system's clock does.
      let time = now()
      // No data: in which direction there could have been some.
      let absent: Unicode.Scalar = submission.endpoint & 0x80 != 0 ? "<" : ">"
      let dataFlag = data.isEmpty ? UInt8(truncatingIfNeeded: absent.value) : 0
      var bytes = submission.id.littleEndianBytes
      bytes += [UInt8(truncatingIfNeeded: event.value), submission.kind.rawValue, submission.endpoint, number]
      bytes += bus.littleEndianBytes
      bytes += [setup == nil ? UInt8(ascii: "-") : 0, dataFlag]
      bytes += (time / 1_000_000_000).littleEndianBytes
      bytes += UInt32(time % 1_000_000_000 / 1000).littleEndianBytes
      bytes += status.littleEndianBytes
      bytes += UInt32(length).littleEndianBytes + UInt32(data.count).littleEndianBytes
      bytes += setup ?? [UInt8](repeating: 0, count: 8)
      // Interval, start frame, flags, descriptors of isochronous transfers.
      bytes += [UInt8](repeating: 0, count: 16)
      bytes += data
      let count = UInt32(bytes.count).littleEndianBytes
      let upper = UInt32(time >> 32).littleEndianBytes
      let lower = UInt32(truncatingIfNeeded: time).littleEndianBytes
      // Enhanced packet block of interface 0.
      return Self.block(6, UInt32(0).littleEndianBytes + upper + lower + count + count + bytes)
    }
  }

  // MARK: blocks of pcapng (draft-ietf-opsawg-pcapng)

  private static func block(_ type: UInt32, _ body: [UInt8]) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (4 - body.count % 4) % 4)
    let length = UInt32(body.count + padding.count + 12).littleEndianBytes
    return type.littleEndianBytes + length + body + padding + length
  }

  /// Section header of unknown length, then one interface whose times are nanoseconds.
  private static var fileHead: [UInt8] {
    let section = UInt32(0x1a2b_3c4d).littleEndianBytes + [1, 0, 0, 0] + Int64(-1).littleEndianBytes
    // if_tsresol (9) = 10^-9, then the end of options.
    let options: [UInt8] = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]
    return block(0x0a0d_0d0a, section) + block(1, UInt16(220).littleEndianBytes + [0, 0, 0, 0, 0, 0] + options)
  }
}
