internal import FoundationEssentials

/// Part of a schedule: ``count`` ticks from ``firstTick`` on.
///
/// Parts may come in any order; ``RunLoop`` needs all of them.
public struct UploadSchedule: WireRequest {
  public typealias Response = UploadScheduleResult

  public var scheduleID: UInt32
  /// Ticks of the whole schedule.
  public var ticks: Int
  /// Length of a tick, whole nanoseconds.
  public var tick: Duration
  public var firstTick: Int
  /// Ticks in this part.
  public var count: Int
  /// `[tick][channel]`: channels a, b, embedding 0 …, then offset x, y where the board has them.
  public var codes: [UInt16]
  /// V at the noise converter for one standard deviation, one a tick of this part; empty: no noise.
  public var noise: [Float]

  public init(
    scheduleID: UInt32, ticks: Int, tick: Duration, firstTick: Int, count: Int, codes: [UInt16], noise: [Float] = []
  ) {
    self.scheduleID = scheduleID
    self.ticks = ticks
    self.tick = tick
    self.firstTick = firstTick
    self.count = count
    self.codes = codes
    self.noise = noise
  }

  /// Codes a tick.
  public var channels: Int { count == 0 ? 0 : codes.count / count }

  public var body: RequestBody { .uploadSchedule(self) }
}

public struct UploadScheduleResult: WireResponse, Hashable {
  /// Ticks received so far.
  public var received: Int

  public init(received: Int) { self.received = received }

  public init?(_ body: ResponseBody) {
    guard case .uploadSchedule(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .uploadSchedule(self) }
}

extension UploadSchedule {
  init(_ message: Rram_Board_V1_UploadSchedule) throws(WireError) {
    scheduleID = message.scheduleID
    ticks = Int(message.ticks)
    tick = .nanoseconds(Int64(message.tickNs))
    firstTick = Int(message.firstTick)
    count = Int(message.count)
    codes = try unpack(message.codes, count: nil, "upload_schedule.codes")
    noise = try unpackOptional(message.noise, count: count, "upload_schedule.noise")
    try checkExtent()
  }

  func message() throws(WireError) -> Rram_Board_V1_UploadSchedule {
    try checkExtent()
    var message = Rram_Board_V1_UploadSchedule()
    message.scheduleID = scheduleID
    message.ticks = try wire32(ticks, "upload_schedule.ticks")
    message.tickNs = try wireNanoseconds(tick, "upload_schedule.tick_ns")
    message.firstTick = try wire32(firstTick, "upload_schedule.first_tick")
    message.count = try wire32(count, "upload_schedule.count")
    message.codes = pack(codes)
    message.noise = pack(noise)
    return message
  }

  private func checkExtent() throws(WireError) {
    guard count >= 1, firstTick >= 0, firstTick <= ticks, count <= ticks - firstTick else {
      throw WireError(
        .outOfRange, field: "upload_schedule.count", "\(count) ticks from tick \(firstTick) of a schedule of \(ticks)")
    }
    guard !codes.isEmpty, codes.count % count == 0 else {
      throw WireError(
        .wrongLength, field: "upload_schedule.codes",
        "\(codes.count) codes are no whole number for each of \(count) ticks")
    }
    try check(noise, count: count, orEmpty: true, "upload_schedule.noise")
    try checkFinite(noise, "upload_schedule.noise")
  }
}

extension UploadScheduleResult {
  init(_ message: Rram_Board_V1_UploadScheduleResult) { received = Int(message.received) }

  func message() throws(WireError) -> Rram_Board_V1_UploadScheduleResult {
    var message = Rram_Board_V1_UploadScheduleResult()
    message.received = try wire32(received, "upload_schedule.received")
    return message
  }
}
