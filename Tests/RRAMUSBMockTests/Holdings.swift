import CUSBMock
import Foundation
import RRAMKit
import Testing

/// What this process holds of the system.
struct Holdings: CustomStringConvertible {
  var descriptors: Int
  var threads: Int
  /// Those that libusb runs, one a context; event loops are counted by contexts themselves.
  var usbThreads: Int
  var heapBytes: Int

  init() {
    let files = FileManager.default
    descriptors = (try? files.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    let tasks = (try? files.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    threads = tasks.count
    usbThreads =
      tasks.filter { task in
        // A thread that ends meanwhile has no name.
        let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
        return name?.hasPrefix("libusb") == true
      }.count
    heapBytes = Int(usb_mock_heap_bytes())
  }

  var description: String {
    "\(descriptors) descriptors, \(threads) threads (\(usbThreads) of USB), \(heapBytes) bytes"
  }

  /// What is held once everything has been used once: the runtime and the mocked kernel keep some for good.
  static var atRest: Holdings {
    get async {
      _ = await warmUp.value
      return Holdings()
    }
  }

  /// A whole session: the first deadline of a process, for one, opens a timer that stays.
  private static let warmUp = Task {
    guard let board = try? MockBoard.emulated(serial: "WARM-UP") else { return }
    board.plug()
    try? await RRAM.withBoard("usb:") { _ in }
    board.unplug()
  }

  /// Looks until nothing is held beyond `before`, or for so long that it is a leak.
  static func settled(at before: Holdings, more: Int) async -> Holdings {
    let end = ContinuousClock.now + .seconds(5)
    var now = Holdings()
    while now.descriptors > before.descriptors + more || now.usbThreads > before.usbThreads, ContinuousClock.now < end {
      await Task.yield()
      now = Holdings()
    }
    return now
  }

  /// Far below one a repetition: the last context may still be on its way out, and the pool may have taken a thread more.
  func expectNoGrowth(since before: Holdings, repetitions: Int, bytesEach: Int) {
    #expect(descriptors - before.descriptors < repetitions / 50, "\(before), then \(self)")
    #expect(threads - before.threads < repetitions / 50, "\(before), then \(self)")
    #expect(heapBytes - before.heapBytes < repetitions * bytesEach, "\(before), then \(self)")
  }
}
