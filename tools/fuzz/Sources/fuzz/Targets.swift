import Foundation
import Glibc
import Logging
import RRAMFiles
import RRAMProfiles
import RRAMUnits
import RRAMWire

@testable import HDPMBoard
@testable import RRAMCharacterization
@testable import RRAMEmulator
@testable import RRAMEmulatorUSB
@testable import RRAMTransport

/// Something that takes bytes from strangers, and what must hold whatever they are.
struct FuzzTarget {
  var name: String
  /// Prepares what inputs share, and gives the function that takes one input.
  var make: () throws -> ([UInt8]) -> Void
}

nonisolated(unsafe) let fuzzTargets: [FuzzTarget] = [
  FuzzTarget(name: "frames", make: { frames }),
  FuzzTarget(name: "messages", make: { messages }),
  FuzzTarget(name: "firmware", make: firmware),
  FuzzTarget(name: "safetensors", make: { safetensors }),
  FuzzTarget(name: "npz", make: { npz }),
  FuzzTarget(name: "cells", make: { cells }),
  FuzzTarget(name: "yaml", make: { yaml }),
  FuzzTarget(name: "hdpm", make: { hdpm }),
  FuzzTarget(name: "packets", make: { packets }),
  FuzzTarget(name: "usbredir", make: { try server { try USBServer.redirection($0) } }),
  FuzzTarget(
    name: "usbip",
    make: {
      let serve = try server { try USBServer.ip($0) }
      return {
        // What comes after a device was attached, whether or not this input attaches it.
        if $0.count >= USBIP.headerBytes { _ = USBIP.command($0.suffix(USBIP.headerBytes)) }
        serve($0)
      }
    }),
]

/// A stream in pieces gives the frames that it gives whole, and what the decoder calls a frame encodes to bytes of the stream.
private func frames(_ input: [UInt8]) {
  guard let first = input.first else { return }
  let bytes = Array(input.dropFirst())
  var whole = FrameDecoder(maximumPayloadBytes: 1024)
  let expected = whole.decode(bytes[...])
  var cut = FrameDecoder(maximumPayloadBytes: 1024)
  var findings: [FrameDecoder.Finding] = []
  let step = 1 + Int(first % 37)
  for start in stride(from: 0, to: bytes.count, by: step) {
    findings += cut.decode(Array(bytes[start..<min(start + step, bytes.count)]))
  }
  precondition(findings == expected, "pieces of \(step) bytes give other frames than the whole")
  for case .frame(let frame) in expected {
    precondition(frame.payload.count <= 1024)
    _ = try? RequestMessage(payload: frame.payload)
    _ = try? ResponseMessage(payload: frame.payload)
  }
}

/// What can be read can be written and reads as the same again.
private func messages(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let payload = Array(input.dropFirst())
  func same<M: Equatable>(_ parse: ([UInt8]) throws -> M, _ write: (M) throws -> [UInt8]) {
    guard let message = try? parse(payload) else { return }
    guard let bytes = try? write(message) else { return }
    guard let again = try? parse(bytes) else { preconditionFailure("a message that was written cannot be read") }
    guard let twice = try? write(again) else { preconditionFailure("a message that was read cannot be written") }
    precondition(bytes == twice, "a message changes when it is written again")
  }
  switch kind % 3 {
  case 0: same({ try RequestMessage(payload: $0) }, { try $0.payload() })
  case 1: same({ try ResponseMessage(payload: $0) }, { try $0.payload() })
  default: same({ try EventMessage(payload: $0) }, { try $0.payload() })
  }
}

/// Every handler of the virtual firmware: each input is a series of payloads, wrapped in good frames, to a board with a formed chip.
///
/// No pulse beyond the limits reaches a cell: the physics refuses such a pulse and the firmware reports a converter fault.
private func firmware() throws -> ([UInt8]) -> Void {
  var description = try BoardDescription.named("parallel")
  description.macros.shape = MacroShape(rows: 8, columns: 8)
  description.drivers.simultaneousColumns = 8
  description.link.maximumRequestBytes = 4096
  description.link.maximumResponseBytes = 4096
  let profile = try ChipProfile.named("cmo-hfox")
  let encoder = FrameEncoder(maximumPayloadBytes: 1 << 16)
  let hello = try RequestMessage(body: Hello(sessionID: 1, client: "fuzz").body).payload()
  let greeting = try encoder.encode(Frame(sequence: 1, payload: hello))
  return { input in
    guard
      let chip = try? Chip(
        profile: profile, board: description, seed: 1, statePath: nil, threads: 1, loop: .init(steps: 20))
    else { preconditionFailure("no chip") }
    let board = VirtualFirmware(chip: chip, serial: "F", chipID: "F", bootID: 1)
    board.linkUp()
    _ = board.receive(greeting)
    var sequence: UInt32 = 1
    var rest = input[...]
    while rest.count > 2 {
      // Two bytes of length in front of each payload.
      let length = min(Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8, rest.count - 2)
      let payload = Array(rest.dropFirst(2).prefix(length))
      rest = rest.dropFirst(2 + length)
      sequence += 1
      guard let frame = try? encoder.encode(Frame(sequence: sequence, payload: payload)) else { continue }
      _ = board.receive(frame)
      var steps = 0
      while board.hasWork, steps < 24 {
        board.work()
        steps += 1
        while board.output.first != nil { board.popOutput() }
      }
      while board.output.first != nil { board.popOutput() }
    }
    precondition(!board.faults.contains(.converter), "a pulse beyond the limits came as far as the cells")
    board.makeSafe(.requested)
    precondition(!board.isEnergised && board.queuedOperations == 0, "not safe after Safe")
  }
}

private func safetensors(_ input: [UInt8]) {
  guard let file = try? SafetensorsFile(bytes: input, file: "f") else { return }
  for name in file.keys + ["no such tensor"] {
    _ = try? file.floats(name)
    _ = try? file.doubles(name)
  }
}

private func npz(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let bytes = Array(input.dropFirst())
  if kind & 1 == 0 {
    _ = try? NPYArray(npy: bytes, file: "f")
  } else if let archive = try? NPZArchive(bytes: bytes, file: "f") {
    for key in archive.keys.prefix(8) + ["no such array"] {
      guard let array = try? archive.array(key) else { continue }
      _ = try? archive.floats(key, shape: array.shape)
      _ = try? archive.integers(key, shape: [1])
      _ = try? archive.string(key)
    }
  }
}

/// Tables and archives of cells that were measured elsewhere: what is taken has a finite value for every cell, and findings can be made of it.
private func cells(_ input: [UInt8]) {
  guard let records = try? CellRecords(bytes: input, file: "f") else { return }
  let values = records.later + [records.target, records.verify].compactMap(\.self)
  precondition(values.allSatisfy { $0.count == records.cells.count && $0.allSatisfy(\.isFinite) })
  precondition(Set(records.cells).count == records.cells.count, "a cell comes twice")
  for (step, measurement) in records.measurements() where records.cells.count <= 64 {
    _ = try? step.findings(from: measurement)
  }
}

private func yaml(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let text = String(decoding: input.dropFirst(), as: UTF8.self)
  switch kind % 4 {
  case 0: _ = try? ChipProfile(yaml: text, file: "f")
  case 1: _ = try? BoardDescription(yaml: text, file: "f")
  case 2: _ = try? ChipLimits(yaml: text, file: "f")
  default: _ = try? CharacterizationPlan(yaml: text, file: "f")
  }
}

/// Lines to the published board's firmware, and captures of an oscilloscope.
private func hdpm(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let bytes = Array(input.dropFirst())
  if kind & 1 == 0 {
    var firmware = HDPMFirmware()
    firmware.receive(Array(bytes.prefix(1024)))
    _ = firmware.advance(to: .milliseconds(200))
  } else {
    if let capture = try? ScopeCapture(csv: String(decoding: bytes, as: UTF8.self), file: "f") {
      _ = capture.points(unitVoltage: Volts(1))
    }
  }
}

/// Packets of the stream socket, and recordings.
private func packets(_ input: [UInt8]) {
  guard let kind = input.first else { return }
  let bytes = Array(input.dropFirst())
  if kind & 1 == 0 {
    var parser = SocketPacketParser()
    let step = 1 + Int(kind >> 1) % 61
    for start in stride(from: 0, to: bytes.count, by: step) {
      parser.append(bytes[start..<min(start + step, bytes.count)])
      while let packet = try? parser.next(address: "f") {
        precondition(packet.bytes.count <= SocketPacket.maximumLength)
      }
    }
  } else {
    _ = try? ReplayingTransport(recording: bytes, address: "f")
  }
}

/// A server of emulated USB that lives as long as the process.
private enum USBServer {
  case redirection(USBRedirServer)
  case ip(USBIPServer)

  static func redirection(_ address: ListenAddress) throws -> USBServer {
    .redirection(
      try USBRedirServer(address, endpoint: try board(), description: USBDescription(serial: "F"), logger: silent))
  }

  static func ip(_ address: ListenAddress) throws -> USBServer {
    .ip(try USBIPServer(address, endpoint: try board(), description: USBDescription(serial: "F"), logger: silent))
  }

  private static func board() throws -> EmulatedBoard {
    try EmulatedBoard(
      profile: .named("ideal"), board: .named("multiplexed"), configuration: .init(seed: 1, threads: 1))
  }

  private static var silent: Logger { Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() } }
}

/// A connection for every input: its bytes, the end, and what comes back until the server closes or is quiet.
private func server(_ make: (ListenAddress) throws -> USBServer) throws -> ([UInt8]) -> Void {
  let path = "/tmp/rram-fuzz-\(getpid()).sock"
  let server = try make(.unix(path: path))
  return { input in
    withExtendedLifetime(server) {
      let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      precondition(descriptor >= 0)
      defer { close(descriptor) }
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8) + [0]) }
      let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      precondition(status == 0, "the server does not take connections any more")
      var sent = 0
      while sent < input.count {
        let count = input[sent...].withUnsafeBytes {
          send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if count <= 0 { break }
        sent += count
      }
      _ = shutdown(descriptor, Int32(SHUT_WR))
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      while poll(&waiting, 1, 2000) > 0, recv(descriptor, &buffer, buffer.count, 0) > 0 {}
    }
  }
}
