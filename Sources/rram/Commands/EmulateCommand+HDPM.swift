import Foundation
import RRAMKit
import Synchronization

extension EmulateCommand {
  /// Serves the virtual published board on a pseudo-terminal, until interrupted.
  func servePublishedBoard() async throws {
    let address = try options.address(default: "hdpm-emu:")
    guard case .emulatedHDPM(let description) = address else {
      throw CommandError(
        message: "'\(address)' cannot be served by --hdpm-pty", hint: "only hdpm-emu: addresses can",
        exitCode: ExitStatus.usage)
    }
    let captures = try scope.map { try CaptureFolder($0) }
    let pty = try HDPMPty(try RRAM.virtualHDPM(description)) { run, result in
      do {
        let capture = try result.get()
        if let file = try captures?.keep(capture) { note("run \(run): \(file)") }
      } catch {
        note("error: \(diagnose(error).message)")
      }
    }
    try answer(
      EmulateOutput(board: description.description, address: "hdpm:\(pty.path)"), json: options.common.json)
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    pty.close()
    throw CancellationError()
  }
}

/// A folder that gets one capture a run, each under a number that is free.
private final class CaptureFolder: Sendable {
  private let path: String
  private let next = Mutex(0)

  init(_ path: String) throws {
    self.path = path
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
      throw CommandError(message: "--scope \(path): no such folder", exitCode: ExitStatus.badInput)
    }
  }

  /// Writes the capture under the next free name.
  func keep(_ capture: ScopeCapture) throws -> String {
    let file = next.withLock { next in
      while true {
        let name = path + "/run-" + numbered(next) + ".csv"
        next += 1
        if !FileManager.default.fileExists(atPath: name) { return name }
      }
    }
    try AtomicFile.write(Array(capture.csv.utf8), to: file)
    return file
  }
}

/// Six digits, so that names sort as the runs came.
private func numbered(_ run: Int) -> String {
  let digits = String(run)
  return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
}
