internal import CUSBRedir
internal import Glibc
internal import Logging
internal import RRAMTransport

/// One host on the other end of usbredir: translates between a device and packets, which libusbredirparser reads and writes.
///
/// Touched by one thread only. The parser calls back into this object, which owns it.
final class USBRedirSession {
  let stream: StreamConnection
  private let device: VirtualUSBDevice
  private let logger: Logger
  private let parser: UnsafeMutablePointer<usbredirparser>
  /// The peer has said hello.
  private(set) var isReady = false
  /// The peer was told of the device.
  private var isConnected = false
  /// The peer may still send packets for the device that left: usbredir-protocol, device_disconnect_ack.
  private var awaitsAcknowledgement = false
  private var isBroken = false
  /// What transfers that are under way were asked for by.
  private var asked: [UInt64: Packet] = [:]
  /// The polling of the interrupt endpoint: the peer asks once, and every doorbell goes to it.
  private var polls = false

  private enum Packet {
    case control(usb_redir_control_packet_header)
    case bulk(usb_redir_bulk_packet_header)
  }

  /// Our name for what the peer did not name: polls of the interrupt endpoint, standard requests. The peer counts its own
  /// up from 0.
  private static let pollID = UInt64.max
  /// Longest transfer that is asked for; QEMU's controllers split at less.
  private static let maximumTransferBytes = 16 << 20

  init?(_ stream: StreamConnection, _ device: VirtualUSBDevice, _ logger: Logger) {
    guard let parser = usbredirparser_create() else { return nil }
    self.stream = stream
    self.device = device
    self.logger = logger
    self.parser = parser
    parser.pointee.priv = Unmanaged.passUnretained(self).toOpaque()
    setCallbacks()
    var capabilities: UInt32 = 0
    for capability in [
      usb_redir_cap_connect_device_version, usb_redir_cap_filter, usb_redir_cap_device_disconnect_ack,
      usb_redir_cap_ep_info_max_packet_size, usb_redir_cap_64bits_ids, usb_redir_cap_32bits_bulk_length,
    ] {
      usbredirparser_caps_set_cap(&capabilities, Int32(capability))
    }
    // Queues our hello.
    usbredirparser_init(
      parser, "rram emulator", &capabilities, Int32(USB_REDIR_CAPS_SIZE), Int32(usbredirparser_fl_usb_host))
  }

  deinit { usbredirparser_destroy(parser) }

  /// Takes what the peer has sent; false once the connection is of no use.
  func read() -> Bool {
    while stream.inputBytes > 0, !isBroken {
      // A packet that breaks the rules is skipped by the parser, but a peer that sends one is not worth keeping.
      guard usbredirparser_do_read(parser) == 0 else { return false }
    }
    return !isBroken
  }

  /// Hands over what the board has answered, and tells the peer when the board comes or goes.
  func answer() {
    let results = device.takeResults()
    if isReady { follow() }
    for result in results { send(result) }
    if isReady { follow() }
    write()
  }

  private func write() {
    // All of it goes to the stream's queue.
    while usbredirparser_has_data_to_write(parser) > 0 {
      guard usbredirparser_do_write(parser) == 0 else { return }
    }
  }

  // MARK: the device's coming and going

  private func follow() {
    if device.isPresent, !isConnected {
      if !awaitsAcknowledgement { connect() }
    } else if !device.isPresent, isConnected {
      usbredirparser_send_device_disconnect(parser)
      awaitsAcknowledgement =
        usbredirparser_peer_has_cap(parser, Int32(usb_redir_cap_device_disconnect_ack)) != 0
      forget()
    }
  }

  private func forget() {
    isConnected = false
    asked = [:]
    polls = false
  }

  private func connect() {
    let description = device.description
    var interfaces = usb_redir_interface_info_header()
    interfaces.interface_count = 1
    interfaces.interface_class.0 = 0xff
    usbredirparser_send_interface_info(parser, &interfaces)
    var endpoints = usb_redir_ep_info_header()
    // Tables of 32: the 16 endpoints out, then the 16 in.
    func index(_ address: UInt8) -> Int { Int(address & 0x0f) + (address & 0x80 != 0 ? 16 : 0) }
    withUnsafeMutableBytes(of: &endpoints.type) { types in
      for i in 0..<32 { types[i] = UInt8(usb_redir_type_invalid) }
      types[0] = UInt8(usb_redir_type_control)
      types[16] = UInt8(usb_redir_type_control)
      types[index(BoardEndpoint.bulkOut)] = UInt8(usb_redir_type_bulk)
      types[index(BoardEndpoint.bulkIn)] = UInt8(usb_redir_type_bulk)
      types[index(BoardEndpoint.doorbell)] = UInt8(usb_redir_type_interrupt)
    }
    withUnsafeMutableBytes(of: &endpoints.interval) {
      $0[index(BoardEndpoint.doorbell)] = description.speed == .high ? 4 : 1
    }
    withUnsafeMutableBytes(of: &endpoints.max_packet_size) { sizes in
      func set(_ index: Int, _ bytes: Int) {
        sizes.storeBytes(of: UInt16(bytes).littleEndian, toByteOffset: 2 * index, as: UInt16.self)
      }
      set(0, 64)
      set(16, 64)
      set(index(BoardEndpoint.bulkOut), description.speed.bulkPacketBytes)
      set(index(BoardEndpoint.bulkIn), description.speed.bulkPacketBytes)
      set(index(BoardEndpoint.doorbell), BoardEndpoint.doorbellBytes)
    }
    usbredirparser_send_ep_info(parser, &endpoints)
    var header = usb_redir_device_connect_header()
    header.speed = UInt8(description.speed == .high ? usb_redir_speed_high : usb_redir_speed_full)
    header.vendor_id = description.vendorID
    header.product_id = description.productID
    header.device_version_bcd = description.bcdDevice
    usbredirparser_send_device_connect(parser, &header)
    isConnected = true
  }

  // MARK: answers

  private static func status(_ status: USBResult.Status) -> UInt8 {
    let code =
      switch status {
      case .completed: usb_redir_success
      case .stalled: usb_redir_stall
      case .babbled: usb_redir_babble
      case .cancelled: usb_redir_cancelled
      }
    return UInt8(code)
  }

  private func send(_ result: USBResult) {
    if result.endpoint == BoardEndpoint.doorbell, result.id == Self.pollID {
      guard polls else { return }
      switch result.status {
      case .completed:
        var header = usb_redir_interrupt_packet_header()
        header.endpoint = BoardEndpoint.doorbell
        header.length = UInt16(result.bytes.count)
        withData(result) { usbredirparser_send_interrupt_packet(parser, 0, &header, $0, $1) }
        poll()
      case .stalled:
        // The peer asks anew once it has cleared the halt.
        polls = false
        sendPolling(0, BoardEndpoint.doorbell, usb_redir_stall)
      case .babbled, .cancelled: polls = false
      }
      return
    }
    guard let packet = asked.removeValue(forKey: result.id) else { return }
    switch packet {
    case .control(var header):
      header.status = Self.status(result.status)
      header.length = UInt16(clamping: result.count)
      withData(result) { usbredirparser_send_control_packet(parser, result.id, &header, $0, $1) }
    case .bulk(var header):
      header.status = Self.status(result.status)
      header.length = UInt16(truncatingIfNeeded: result.count)
      header.length_high = UInt16(truncatingIfNeeded: result.count >> 16)
      withData(result) { usbredirparser_send_bulk_packet(parser, result.id, &header, $0, $1) }
    }
  }

  /// The parser drops a packet that has a pointer to data although it carries none.
  private func withData(_ result: USBResult, _ body: (UnsafeMutablePointer<UInt8>?, Int32) -> Void) {
    guard !result.bytes.isEmpty else { return body(nil, 0) }
    var bytes = result.bytes
    bytes.withUnsafeMutableBufferPointer { body($0.baseAddress, Int32($0.count)) }
  }

  private func poll() {
    device.submit(
      USBTransfer(id: Self.pollID, endpoint: BoardEndpoint.doorbell, length: BoardEndpoint.doorbellBytes))
  }

  // MARK: what the peer asks for

  /// A peer that names two transfers alike, or as we name ours, gets no answer to the second.
  private func isFree(_ id: UInt64) -> Bool { id != Self.pollID && asked[id] == nil }

  private func control(_ id: UInt64, _ header: usb_redir_control_packet_header, _ data: [UInt8]) {
    guard isConnected, isFree(id) else { return }
    asked[id] = .control(header)
    let setup = USBSetup(
      requestType: header.requesttype, request: header.request, value: header.value, index: header.index,
      length: header.length)
    device.submit(control: id, setup, data: data)
  }

  private func bulk(_ id: UInt64, _ header: usb_redir_bulk_packet_header, _ data: [UInt8]) {
    guard isConnected, isFree(id) else { return }
    let length = Int(header.length) | Int(header.length_high) << 16
    guard length <= Self.maximumTransferBytes, device.bytesWaiting + data.count <= Self.maximumTransferBytes else {
      logger.error("the host queued more than \(Self.maximumTransferBytes) bytes")
      isBroken = true
      return
    }
    asked[id] = .bulk(header)
    device.submit(USBTransfer(id: id, endpoint: header.endpoint, length: length, data: data))
  }

  private func cancel(_ id: UInt64) {
    guard device.cancel(id), let packet = asked.removeValue(forKey: id) else { return }
    let cancelled = UInt8(usb_redir_cancelled)
    switch packet {
    case .control(var header):
      header.status = cancelled
      header.length = 0
      usbredirparser_send_control_packet(parser, id, &header, nil, 0)
    case .bulk(var header):
      header.status = cancelled
      header.length = 0
      header.length_high = 0
      usbredirparser_send_bulk_packet(parser, id, &header, nil, 0)
    }
  }

  private func reset() {
    // The peer asks for the polling anew once it has configured the device.
    polls = false
    device.reset()
  }

  private func setConfiguration(_ id: UInt64, _ value: UInt8) {
    polls = false
    let isDone = standard(USBSetup(requestType: 0x00, request: 9, value: UInt16(value))) != nil
    sendConfiguration(id, isDone)
  }

  private func sendConfiguration(_ id: UInt64, _ isDone: Bool) {
    var status = usb_redir_configuration_status_header()
    status.status = UInt8(isDone ? usb_redir_success : usb_redir_stall)
    status.configuration = device.configuration
    usbredirparser_send_configuration_status(parser, id, &status)
  }

  private func setAlternate(_ id: UInt64, interface: UInt8, alternate: UInt8) {
    let isDone =
      standard(USBSetup(requestType: 0x01, request: 11, value: UInt16(alternate), index: UInt16(interface))) != nil
    sendAlternate(id, interface: interface, isDone)
  }

  private func sendAlternate(_ id: UInt64, interface: UInt8, _ isDone: Bool) {
    var status = usb_redir_alt_setting_status_header()
    status.status = UInt8(isDone ? usb_redir_success : usb_redir_stall)
    status.interface = interface
    usbredirparser_send_alt_setting_status(parser, id, &status)
  }

  /// A standard request that usbredir gives a packet of its own; its bytes, or `nil` if the device refuses it.
  private func standard(_ setup: USBSetup) -> [UInt8]? {
    guard isConnected else { return nil }
    device.submit(control: Self.pollID, setup)
    let results = device.takeResults()
    // Others may have ended by it, or beside it.
    for result in results where result.id != Self.pollID || result.endpoint != 0 { send(result) }
    let own = results.first { $0.id == Self.pollID && $0.endpoint == 0 }
    return own?.status == .completed ? own?.bytes : nil
  }

  private func startPolling(_ id: UInt64, _ endpoint: UInt8) {
    let isBell = endpoint == BoardEndpoint.doorbell && isConnected && device.configuration != 0
    if isBell, !polls {
      polls = true
      poll()
    }
    sendPolling(id, endpoint, isBell ? usb_redir_success : usb_redir_inval)
  }

  private func stopPolling(_ id: UInt64, _ endpoint: UInt8) {
    if polls, endpoint == BoardEndpoint.doorbell {
      polls = false
      _ = device.cancel(Self.pollID)
    }
    sendPolling(id, endpoint, usb_redir_success)
  }

  private func sendPolling(_ id: UInt64, _ endpoint: UInt8, _ code: Int) {
    var status = usb_redir_interrupt_receiving_status_header()
    status.status = UInt8(code)
    status.endpoint = endpoint
    usbredirparser_send_interrupt_receiving_status(parser, id, &status)
  }

  // MARK: the parser's callbacks

  private static func of(_ context: UnsafeMutableRawPointer?) -> USBRedirSession {
    guard let context else { preconditionFailure("the parser lost its session") }
    return Unmanaged<USBRedirSession>.fromOpaque(context).takeUnretainedValue()
  }

  /// Takes a copy of a packet's data and gives the original back: the callback owns it (usbredirparser.h).
  private func take(_ data: UnsafeMutablePointer<UInt8>?, _ count: Int32) -> [UInt8] {
    guard let data else { return [] }
    defer { usbredirparser_free_packet_data(parser, data) }
    return Array(UnsafeBufferPointer(start: data, count: Int(count)))
  }

  private func setCallbacks() {
    parser.pointee.log_func = { context, level, message in
      guard let message, level <= Int32(usbredirparser_warning) else { return }
      USBRedirSession.of(context).logger.warning("\(String(cString: message))")
    }
    parser.pointee.read_func = { context, bytes, count in
      let stream = USBRedirSession.of(context).stream
      let taken = min(Int(count), stream.inputBytes)
      // 0 says that nothing is there now.
      guard let bytes, let piece = stream.peek(taken), taken > 0 else { return 0 }
      piece.withUnsafeBytes {
        UnsafeMutableRawPointer(bytes).copyMemory(from: $0.baseAddress ?? .init(bytes), byteCount: taken)
      }
      stream.skip(taken)
      return Int32(taken)
    }
    parser.pointee.write_func = { context, bytes, count in
      USBRedirSession.of(context).stream.queue(UnsafeBufferPointer(start: bytes, count: Int(count)))
      return count
    }
    parser.pointee.hello_func = { context, _ in
      let session = USBRedirSession.of(context)
      session.isReady = true
      session.follow()
    }
    parser.pointee.reset_func = { USBRedirSession.of($0).reset() }
    parser.pointee.set_configuration_func = { context, id, header in
      guard let header else { return }
      USBRedirSession.of(context).setConfiguration(id, header.pointee.configuration)
    }
    parser.pointee.get_configuration_func = { USBRedirSession.of($0).sendConfiguration($1, true) }
    parser.pointee.set_alt_setting_func = { context, id, header in
      guard let header else { return }
      USBRedirSession.of(context).setAlternate(id, interface: header.pointee.interface, alternate: header.pointee.alt)
    }
    parser.pointee.get_alt_setting_func = { context, id, header in
      guard let header else { return }
      USBRedirSession.of(context).sendAlternate(id, interface: header.pointee.interface, true)
    }
    parser.pointee.start_interrupt_receiving_func = { context, id, header in
      guard let header else { return }
      USBRedirSession.of(context).startPolling(id, header.pointee.endpoint)
    }
    parser.pointee.stop_interrupt_receiving_func = { context, id, header in
      guard let header else { return }
      USBRedirSession.of(context).stopPolling(id, header.pointee.endpoint)
    }
    parser.pointee.cancel_data_packet_func = { USBRedirSession.of($0).cancel($1) }
    parser.pointee.control_packet_func = { context, id, header, data, count in
      let session = USBRedirSession.of(context)
      let bytes = session.take(data, count)
      if let header { session.control(id, header.pointee, bytes) }
    }
    parser.pointee.bulk_packet_func = { context, id, header, data, count in
      let session = USBRedirSession.of(context)
      let bytes = session.take(data, count)
      if let header { session.bulk(id, header.pointee, bytes) }
    }
    // A board has nothing to receive by these; a peer that sends them gets no answer.
    parser.pointee.iso_packet_func = { context, _, _, data, count in _ = USBRedirSession.of(context).take(data, count) }
    parser.pointee.interrupt_packet_func = { context, _, _, data, count in
      _ = USBRedirSession.of(context).take(data, count)
    }
    parser.pointee.buffered_bulk_packet_func = { context, _, _, data, count in
      _ = USBRedirSession.of(context).take(data, count)
    }
    parser.pointee.start_iso_stream_func = { _, _, _ in }
    parser.pointee.stop_iso_stream_func = { _, _, _ in }
    parser.pointee.alloc_bulk_streams_func = { _, _, _ in }
    parser.pointee.free_bulk_streams_func = { _, _, _ in }
    parser.pointee.start_bulk_receiving_func = { _, _, _ in }
    parser.pointee.stop_bulk_receiving_func = { _, _, _ in }
    parser.pointee.device_disconnect_ack_func = { context in
      let session = USBRedirSession.of(context)
      session.awaitsAcknowledgement = false
      session.follow()
    }
    parser.pointee.filter_reject_func = { context in
      USBRedirSession.of(context).logger.error("the host's filter rejected the board")
    }
    // The rules are ours to free.
    parser.pointee.filter_filter_func = { _, rules, _ in free(rules.map(UnsafeMutableRawPointer.init)) }
  }
}
