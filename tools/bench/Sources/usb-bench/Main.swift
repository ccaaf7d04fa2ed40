import CUSBMock
import Foundation
import Glibc
import Logging
import RRAMKit

/// One figure: what it must reach, and what it is compared with in the same run.
struct Row: Encodable {
  var name: String
  var unit: String
  var value: Double
  /// The same with libusb alone.
  var libusb: Double?
  var limit: Double
  var higherIsBetter: Bool

  var isReached: Bool { higherIsBetter ? value >= limit : value <= limit }
}

/// Processor time of this process so far, seconds.
func processorTime() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
  return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// Middle value.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Value below which the share `q` of all lies.
func quantile(_ values: [Double], _ q: Double) -> Double {
  let sorted = values.sorted()
  return sorted[min(sorted.count - 1, Int((Double(sorted.count) * q).rounded(.up)) - 1)]
}

/// Processor time of a request of 64 bytes with an answer of 64 bytes. Both sides pay for the mocked kernel, which takes most of it; the
/// row is what the toolkit adds. Rounds alternate, so that a change of the machine's pace meets both.
func requests(_ device: Device) async throws -> Row {
  let rounds = 9
  let count = 2000
  var plain: [Double] = []
  var ours: [Double] = []
  let message = [UInt8](repeating: 0x52, count: 64)
  for round in 0...rounds {
    device.plug(.echo)
    let libusb = try PlainLibUSB()
    try libusb.listen()
    let begin = processorTime()
    for _ in 0..<count {
      try libusb.send(message)
      try libusb.receive(message.count)
    }
    // The first round warms up.
    if round > 0 { plain.append((processorTime() - begin) / Double(count)) }
    libusb.close()
    let transport = try await USBTransport.open(serial: device.serial)
    let before = processorTime()
    for _ in 0..<count {
      try await transport.send(message)
      var received = 0
      while received < message.count { received += try await transport.receive().count }
    }
    if round > 0 { ours.append((processorTime() - before) / Double(count)) }
    await transport.close()
    device.unplug()
  }
  let differences = zip(ours, plain).map { $0 - $1 }
  return Row(
    name: "usbRequestAboveLibUSB", unit: "µs CPU a request", value: median(differences) * 1e6,
    libusb: median(plain) * 1e6, limit: 50, higherIsBetter: false)
}

/// Bulk reads of 1 MiB each.
func bulkReads(_ device: Device) async throws -> Row {
  let megabyte = 1 << 20
  let count = 100
  device.plug(.endless)
  let libusb = try PlainLibUSB()
  try libusb.listen()
  let begin = ContinuousClock.now
  for _ in 0..<count { try libusb.receive(megabyte) }
  let plain = Double(count * megabyte) / (ContinuousClock.now - begin).inSeconds
  device.quieten()
  libusb.close()
  device.unplug()
  device.plug(.endless)
  let transport = try await USBTransport.open(serial: device.serial)
  var rates: [Double] = []
  for _ in 0..<count {
    let begin = ContinuousClock.now
    var received = 0
    while received < megabyte { received += try await transport.receive().count }
    rates.append(Double(received) / (ContinuousClock.now - begin).inSeconds)
  }
  device.quieten()
  await transport.close()
  device.unplug()
  // Of all together: the mean of the times, not of the rates.
  let overall = Double(count) / rates.map { 1 / $0 }.reduce(0, +)
  return Row(
    name: "usbBulkRead", unit: "MB/s", value: overall / 1e6, libusb: plain / 1e6, limit: 100, higherIsBetter: true)
}

/// From the pulled cable to both reports of it: the link's last event, and the departure among the changes.
func unplug(_ device: Device) async throws -> [Row] {
  let count = 200
  var times: [Double] = []
  let context = try USBContext()
  var changes = try context.changes().makeAsyncIterator()
  for _ in 0..<count {
    device.plug(.echo)
    guard case .arrived? = await changes.next() else { throw PlainLibUSB.Failure(action: "arrival", number: 0) }
    let transport = try await USBTransport.open(serial: device.serial, context: context)
    let begin = ContinuousClock.now
    device.unplug()
    for await event in transport.events { if case .linkLost = event { break } }
    guard case .left? = await changes.next() else { throw PlainLibUSB.Failure(action: "departure", number: 0) }
    times.append((ContinuousClock.now - begin).inSeconds)
    await transport.close()
  }
  return [
    Row(
      name: "usbUnplugReported_p50", unit: "ms", value: quantile(times, 0.5) * 1e3, limit: 200, higherIsBetter: false),
    Row(
      name: "usbUnplugReported_p99", unit: "ms", value: quantile(times, 0.99) * 1e3, limit: 200, higherIsBetter: false),
  ]
}

@main
struct Main {
  struct Document: Encodable {
    var schema = 1
    var rows: [Row]
  }

  static func main() async throws {
    // Every pulled cable would be worth a line.
    LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
    guard usb_mock_start() else {
      FileHandle.standardError.write(Data("usb-bench: the mocked kernel is not active\n".utf8))
      exit(69)
    }
    let device = Device(serial: "BENCH", port: 1)
    var rows = [try await requests(device), try await bulkReads(device)]
    rows += try await unplug(device)
    if CommandLine.arguments.contains("--json") {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(Document(rows: rows)), as: UTF8.self))
    } else {
      for row in rows {
        let name = row.name.padding(toLength: 24, withPad: " ", startingAt: 0)
        let beside = row.libusb.map { String(format: ", libusb alone %.1f", $0) } ?? ""
        let verdict = row.isReached ? "" : "  MISSED"
        print(
          name,
          String(
            format: "%8.1f %@ (%@ %.0f%@)", row.value, row.unit, row.higherIsBetter ? "at least" : "at most", row.limit,
            beside)
            + verdict)
      }
    }
    exit(rows.allSatisfy(\.isReached) ? 0 : 1)
  }
}
