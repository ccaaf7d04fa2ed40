internal import HDPMBoard
public import Logging
public import RRAMConformance
internal import RRAMEmulator
internal import RRAMTransport
internal import RRAMUSB

extension RRAM {
  /// Runs the protocol suite against the board at `address`.
  ///
  /// - Parameter progress: called after each check.
  /// - Throws: what keeps the first link from opening; everything later is a finding.
  public static func conformance(
    of address: BoardAddress, options: Conformance.Options = Conformance.Options(),
    logger: Logger = Logger(label: "rram.board"), progress: (ConformanceReport.Finding) -> Void = { _ in }
  ) async throws -> ConformanceReport {
    switch address {
    case .emulated(let chip):
      let board = try emulatedBoard(chip)
      do {
        let report = try await Conformance.run(options: options, progress: progress) {
          InMemoryLink(to: board, address: address.description)
        }
        await board.close()
        return report
      } catch {
        await board.close()
        throw error
      }
    case .socket(let path):
      return try await Conformance.run(options: options, progress: progress) {
        try await UnixSocketTransport.open(path: path)
      }
    case .usb(let serial):
      return try await Conformance.run(options: options, progress: progress) {
        try await openUSB(USBTransport.find(serial: serial), logger: logger)
      }
    case .replay, .hdpm, .emulatedHDPM:
      throw BoardAddress.ParseError(
        address: address.description, reason: "the suite needs a board of protocol rram.board: usb:, sock: or emu:")
    }
  }
}
