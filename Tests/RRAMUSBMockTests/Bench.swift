import RRAMTransport
import RRAMUSB
import Testing

/// All suites here share one pretended kernel: one after the other.
@Suite(.serialized, .enabled(if: MockKernel.isActive, "libumockdev-preload is not active"))
struct MockedKernel {}

/// These tests are built only where the library that pretends the kernel was found: it must then be in force.
@Test func theKernelIsMocked() { #expect(MockKernel.isActive) }

/// Plugs boards in for the time of `body`, and afterwards looks that nothing of them is left in use.
///
/// - Parameter refusedOpens: how often the mocked kernel will refuse to open a node; umockdev keeps two descriptors each time.
func withBoards(
  _ boards: MockBoard..., refusedOpens: Int = 0, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (USBContext) async throws -> Void
) async throws {
  let before = await Holdings.atRest
  for board in boards { board.plug() }
  try await withContext(boards, sourceLocation, body)
  for board in boards where board.isPlugged { board.unplug() }
  // The last context ends on a thread of libusb's own.
  let after = await Holdings.settled(at: before, more: 2 * refusedOpens)
  #expect(
    after.descriptors <= before.descriptors + 2 * refusedOpens, "\(before), then \(after)",
    sourceLocation: sourceLocation)
  #expect(after.usbThreads <= before.usbThreads, "\(before), then \(after)", sourceLocation: sourceLocation)
}

private func withContext(
  _ boards: [MockBoard], _ sourceLocation: SourceLocation, _ body: (USBContext) async throws -> Void
) async throws {
  let context = try USBContext()
  do {
    try await body(context)
  } catch {
    for board in boards where board.isPlugged { board.unplug() }
    throw error
  }
  #expect(await context.waitUntilIdle(), "a handle or a listener is left", sourceLocation: sourceLocation)
  #expect(context.usage == USBContext.Usage(), sourceLocation: sourceLocation)
  for board in boards {
    #expect(board.claims == 0, "\(board.serial) is still claimed", sourceLocation: sourceLocation)
    #expect(board.transfers == 0, "\(board.serial) still has transfers", sourceLocation: sourceLocation)
  }
}

/// The error that `body` throws.
func failure(_ body: () async throws -> Void) async -> TransportError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? TransportError
  }
}

/// Receives until `count` bytes have come.
func receive(_ count: Int, from transport: USBTransport) async throws -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < count { bytes += try await transport.receive() }
  return bytes
}

/// Bytes that differ from place to place, so that an exchange of two pieces is seen.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

/// What a context reports, in short: `+SERIAL` came, `-SERIAL` left.
struct Changes {
  let stream: AsyncStream<USBChange>

  func next() async -> String {
    for await change in stream {
      return switch change {
      case .arrived(let device): "+\(device.serial ?? "")"
      case .left(let device): "-\(device.serial ?? "")"
      }
    }
    return "end"
  }
}
