internal import RRAMTransport
internal import Synchronization

/// A board as its USB port sees it: descriptors, endpoints and power states in front of any ``DeviceEndpoint``.
///
/// A state machine without input and output of its own: a carrier hands over transfers and asks for results. One thread uses
/// it; the board behind it may run on others and calls `wake`.
final class VirtualUSBDevice {
  /// What a port can do to a device, as far as a board cares: USB 2.0, 9.1.1.
  private(set) var isPresent = false
  private(set) var isSuspended = false
  private(set) var configuration: UInt8 = 0

  let description: USBDescription
  private let endpoint: any DeviceEndpoint
  private let allowsFaults: Bool
  private let now: () -> Duration
  private let wake: @Sendable () -> Void
  private let bell = LatestDoorbell()

  private var link: DeviceLink?
  private var halted: Set<UInt8> = []
  private var waiting: [UInt8: [USBTransfer]] = [:]
  private var results: [USBResult] = []
  /// What is left of the burst under way towards the host.
  private var burst: ArraySlice<UInt8> = []
  private var owesEmptyPacket = false
  private var faults = Faults()

  private struct Faults {
    var stalls: Set<UInt8> = []
    var shortens = false
    var babbles = false
    var isMute = false
    var garbles = false
    var quietUntil: Duration?
    var leavesAt: Duration?
    var comesBackAt: Duration?
    var bursts: [[UInt8]] = []
  }

  /// Transfers under way at once; what a host has beyond them is refused.
  static let maximumTransfers = 1024

  /// - Parameters:
  ///   - endpoint: the board behind the port.
  ///   - allowsFaults: answer the requests of ``USBFault``.
  ///   - now: time for faults that last.
  ///   - wake: called from any thread when results may be due.
  init(
    _ description: USBDescription, endpoint: any DeviceEndpoint, allowsFaults: Bool = false,
    now: @escaping () -> Duration, wake: @escaping @Sendable () -> Void
  ) {
    self.description = description
    self.endpoint = endpoint
    self.allowsFaults = allowsFaults
    self.now = now
    self.wake = wake
  }

  // MARK: the port

  /// Power comes: the board waits for its configuration.
  func plug() {
    guard !isPresent else { return }
    isPresent = true
    faults = Faults()
    clear()
  }

  /// Power goes, in the middle of whatever is under way.
  func unplug() {
    guard isPresent else { return }
    isPresent = false
    dropLink("the cable is out")
    clear()
  }

  /// The port resets the device: back to no configuration, as after power-on.
  func reset() {
    guard isPresent else { return }
    dropLink("the bus was reset")
    for transfer in waiting.values.joined() { cancelled(transfer) }
    let ended = results
    clear()
    results = ended
  }

  /// The bus sleeps: a board ends its session, as it does when the host is gone.
  func suspend() {
    guard isPresent, !isSuspended else { return }
    isSuspended = true
    dropLink("the bus sleeps")
  }

  func resume() {
    guard isSuspended else { return }
    isSuspended = false
    if configuration != 0 { raiseLink() }
  }

  private func clear() {
    isSuspended = false
    configuration = 0
    halted = []
    waiting = [:]
    results = []
  }

  private func configure(_ value: UInt8) {
    for transfer in waiting.values.joined() { cancelled(transfer) }
    waiting = [:]
    halted = []
    dropLink("the configuration was changed")
    configuration = value
    if value != 0, !isSuspended { raiseLink() }
  }

  private func raiseLink() {
    let (wake, bell) = (wake, bell)
    let link = DeviceLink(
      endpoint: endpoint, capacity: DeviceLink.defaultCapacity, address: "usb:\(description.serial ?? "")",
      outboundArrived: wake, inboundFreed: wake,
      doorbell: { doorbell in
        bell.set(doorbell)
        wake()
      })
    self.link = link
    endpoint.linkUp(link)
  }

  private func dropLink(_ cause: String) {
    burst = []
    owesEmptyPacket = false
    _ = bell.take()
    guard let link else { return }
    self.link = nil
    let reason = TransportError(.closed, cause, address: "usb:\(description.serial ?? "")")
    link.inbound.finish(reason, discarding: true)
    link.outbound.finish(reason, discarding: true)
    endpoint.linkLost()
  }

  // MARK: transfers

  private var transfersUnderWay: Int { waiting.values.reduce(0) { $0 + $1.count } }

  /// Starts a transfer on an endpoint other than 0; its result comes from ``takeResults()``.
  func submit(_ transfer: USBTransfer) {
    guard isPresent else { return }
    guard configuration != 0, BoardEndpoint.all.contains(transfer.endpoint),
      transfersUnderWay < Self.maximumTransfers
    else {
      results.append(USBResult(id: transfer.id, endpoint: transfer.endpoint, status: .stalled, count: 0))
      return
    }
    waiting[transfer.endpoint, default: []].append(transfer)
  }

  /// Starts a transfer on endpoint 0.
  func submit(control id: UInt64, _ setup: USBSetup, data: [UInt8] = []) {
    guard isPresent else { return }
    switch answer(setup, data) {
    case .bytes(let bytes):
      let count = setup.isIn ? min(bytes.count, Int(setup.length)) : data.count
      results.append(
        USBResult(
          id: id, endpoint: 0, status: .completed, bytes: setup.isIn ? Array(bytes.prefix(count)) : [], count: count))
    case .stall: results.append(USBResult(id: id, endpoint: 0, status: .stalled, count: 0))
    case .nothing:
      guard transfersUnderWay < Self.maximumTransfers else { return }
      waiting[BoardEndpoint.control, default: []].append(USBTransfer(id: id, endpoint: 0, length: 0))
    }
  }

  /// Ends a transfer without a result; false if it has one already, or never was.
  func cancel(_ id: UInt64) -> Bool {
    for (endpoint, transfers) in waiting {
      guard let index = transfers.firstIndex(where: { $0.id == id }) else { continue }
      waiting[endpoint]?.remove(at: index)
      return true
    }
    return false
  }

  private func cancelled(_ transfer: USBTransfer) {
    results.append(USBResult(id: transfer.id, endpoint: transfer.endpoint, status: .cancelled, count: 0))
  }

  /// Bytes on their way out that the board has not taken.
  var bytesWaiting: Int { waiting[BoardEndpoint.bulkOut, default: []].reduce(0) { $0 + $1.data.count } }

  /// When ``takeResults()`` has something to do although nothing happened.
  var nextDeadline: Duration? {
    [faults.quietUntil, faults.leavesAt, faults.comesBackAt].compactMap { $0 }.min()
  }

  /// Does what is due and hands over what has ended, in the order in which it did.
  func takeResults() -> [USBResult] {
    let now = now()
    followFaults(now)
    if isPresent, !isSuspended {
      serve(BoardEndpoint.bulkOut, give)
      serve(BoardEndpoint.bulkIn, take)
      serve(BoardEndpoint.doorbell, ring)
    }
    defer { results = [] }
    return results
  }

  /// Ends transfers of one endpoint until one has to wait.
  private func serve(_ endpoint: UInt8, _ body: (USBTransfer) -> USBResult?) {
    while let transfer = waiting[endpoint]?.first {
      if faults.stalls.remove(endpoint) != nil { halted.insert(endpoint) }
      let result: USBResult
      if halted.contains(endpoint) {
        result = USBResult(id: transfer.id, endpoint: endpoint, status: .stalled, count: 0)
      } else {
        guard faults.quietUntil == nil, let done = body(transfer) else { return }
        result = done
      }
      waiting[endpoint]?.removeFirst()
      results.append(result)
    }
  }

  private func give(_ transfer: USBTransfer) -> USBResult? {
    guard let link else { return nil }
    // An empty packet ends a burst and carries nothing.
    if !transfer.data.isEmpty, case .full = link.inbound.tryPut(transfer.data) { return nil }
    return USBResult(
      id: transfer.id, endpoint: transfer.endpoint, status: .completed, count: transfer.data.count)
  }

  private func take(_ transfer: USBTransfer) -> USBResult? {
    if faults.babbles {
      faults.babbles = false
      return USBResult(id: transfer.id, endpoint: transfer.endpoint, status: .babbled, count: 0)
    }
    guard owesEmptyPacket || nextBurst() else { return nil }
    let packet = description.speed.bulkPacketBytes
    var bytes: [UInt8] = []
    // Packet by packet, as a board sends: a transfer ends with a short one, or when it is full.
    while bytes.count < transfer.length || transfer.length == 0 {
      let piece = burst.prefix(packet)
      guard piece.count <= transfer.length - bytes.count else {
        burst = burst.dropFirst(piece.count)
        owesEmptyPacket = piece.count == packet && burst.isEmpty
        bytes += piece.prefix(transfer.length - bytes.count)
        return USBResult(
          id: transfer.id, endpoint: transfer.endpoint, status: .babbled, bytes: bytes, count: bytes.count)
      }
      bytes += piece
      burst = burst.dropFirst(piece.count)
      owesEmptyPacket = piece.count == packet && burst.isEmpty
      if piece.count < packet { break }
    }
    return USBResult(
      id: transfer.id, endpoint: transfer.endpoint, status: .completed, bytes: bytes, count: bytes.count)
  }

  /// True if there is a burst to go on with.
  private func nextBurst() -> Bool {
    guard burst.isEmpty else { return true }
    if faults.bursts.isEmpty {
      guard let bytes = link?.hostTake() else { return false }
      burst = bytes[...]
    } else {
      burst = faults.bursts.removeFirst()[...]
    }
    if faults.shortens {
      faults.shortens = false
      // One byte more than half, so that what is left is never empty.
      burst = burst.prefix(burst.count / 2 + 1)
    }
    if faults.garbles { burst = burst.map { ~$0 }[...] }
    return true
  }

  private func ring(_ transfer: USBTransfer) -> USBResult? {
    guard let doorbell = bell.take() else { return nil }
    let bytes = Array(doorbell.bytes.prefix(transfer.length))
    return USBResult(
      id: transfer.id, endpoint: transfer.endpoint,
      status: transfer.length < BoardEndpoint.doorbellBytes ? .babbled : .completed, bytes: bytes, count: bytes.count)
  }

  // MARK: endpoint 0

  private enum Answer {
    case bytes([UInt8])
    case stall
    /// The device goes on refusing to answer.
    case nothing
  }

  private func answer(_ setup: USBSetup, _ data: [UInt8]) -> Answer {
    switch setup.requestType & 0x7f {
    case 0x00: standardDevice(setup)
    case 0x01: standardInterface(setup)
    case 0x02: standardEndpoint(setup)
    case 0x40: vendor(setup, data)
    default: .stall
    }
  }

  /// `bRequest` of the standard requests: USB 2.0, table 9-4.
  private enum Standard {
    static let getStatus: UInt8 = 0
    static let clearFeature: UInt8 = 1
    static let setFeature: UInt8 = 3
    static let setAddress: UInt8 = 5
    static let getDescriptor: UInt8 = 6
    static let getConfiguration: UInt8 = 8
    static let setConfiguration: UInt8 = 9
    static let getInterface: UInt8 = 10
    static let setInterface: UInt8 = 11
    /// Feature selector of an endpoint's halt.
    static let halt: UInt16 = 0
  }

  private func standardDevice(_ setup: USBSetup) -> Answer {
    switch (setup.isIn, setup.request) {
    // Powered by the bus, no remote wake-up.
    case (true, Standard.getStatus): return .bytes([0, 0])
    case (true, Standard.getDescriptor):
      let type = UInt8(setup.value >> 8)
      return description.descriptor(type: type, index: UInt8(setup.value & 0xff)).map(Answer.bytes) ?? .stall
    case (true, Standard.getConfiguration): return .bytes([configuration])
    case (false, Standard.setConfiguration):
      guard setup.value == 0 || setup.value == UInt16(USBDescription.configurationValue) else { return .stall }
      configure(UInt8(setup.value))
      return .bytes([])
    // Carriers keep the address to themselves.
    case (false, Standard.setAddress): return .bytes([])
    default: return .stall
    }
  }

  private func standardInterface(_ setup: USBSetup) -> Answer {
    guard configuration != 0, setup.index == 0 else { return .stall }
    switch (setup.isIn, setup.request) {
    case (true, Standard.getStatus): return .bytes([0, 0])
    case (true, Standard.getInterface): return .bytes([0])
    case (false, Standard.setInterface):
      guard setup.value == 0 else { return .stall }
      // Choosing a setting lifts the halts of its endpoints: USB 2.0, 9.1.1.5.
      halted = []
      return .bytes([])
    default: return .stall
    }
  }

  private func standardEndpoint(_ setup: USBSetup) -> Answer {
    let address = UInt8(setup.index & 0xff)
    let isControl = address & 0x7f == 0
    guard isControl || configuration != 0 && BoardEndpoint.all.contains(address) else { return .stall }
    switch (setup.isIn, setup.request) {
    case (true, Standard.getStatus): return .bytes([halted.contains(address) ? 1 : 0, 0])
    case (false, Standard.clearFeature) where setup.value == Standard.halt:
      halted.remove(address)
      return .bytes([])
    case (false, Standard.setFeature) where setup.value == Standard.halt && !isControl:
      halted.insert(address)
      return .bytes([])
    default: return .stall
    }
  }

  private func vendor(_ setup: USBSetup, _ data: [UInt8]) -> Answer {
    if setup.request == USBFault.request, !setup.isIn { return begin(data) }
    guard let request = ControlRequest(rawValue: setup.request), setup.value == 0, setup.index == 0,
      setup.isIn == (request == .status), setup.isIn || setup.length == 0
    else { return .stall }
    if faults.isMute { return .nothing }
    guard let bytes = try? endpoint.control(request, data: data) else { return .stall }
    if request == .resync {
      burst = []
      owesEmptyPacket = false
      while link?.hostTake() != nil {}
    }
    return .bytes(bytes)
  }

  // MARK: faults

  private func begin(_ data: [UInt8]) -> Answer {
    guard allowsFaults, data.count == 4, let fault = USBFault(rawValue: UInt16(data[0]) | UInt16(data[1]) << 8) else {
      return .stall
    }
    let parameter = Int(data[2]) | Int(data[3]) << 8
    let later = now() + .milliseconds(parameter)
    switch fault {
    case .stallIn: faults.stalls.insert(BoardEndpoint.bulkIn)
    case .stallOut: faults.stalls.insert(BoardEndpoint.bulkOut)
    case .shortPacket: faults.shortens = true
    case .delay: faults.quietUntil = later
    case .babble: faults.babbles = true
    case .leave:
      faults.leavesAt = later
      faults.comesBackAt = later + .milliseconds(parameter)
    case .mute: faults.isMute = true
    case .garble: faults.garbles = true
    case .burst: faults.bursts.append((0..<parameter).map { UInt8(truncatingIfNeeded: $0) })
    }
    return .bytes([])
  }

  private func followFaults(_ now: Duration) {
    func isDue(_ deadline: inout Duration?) -> Bool {
      guard let due = deadline, due <= now else { return false }
      deadline = nil
      return true
    }
    _ = isDue(&faults.quietUntil)
    // Back first: the carrier has to see the board away at least once.
    if !isPresent, isDue(&faults.comesBackAt) { plug() }
    if isDue(&faults.leavesAt) { unplug() }
  }
}
