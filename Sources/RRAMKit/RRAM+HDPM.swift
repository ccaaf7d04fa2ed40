public import HDPMBoard
internal import RRAMModel
internal import RRAMProfiles
internal import RRAMTransport

extension RRAM {
  /// The presets that the firmware behind an address holds, as far as this toolkit knows.
  public static func presets(of board: BoardAddress.EmulatedHDPM) throws -> [HDPMPreset] {
    guard board.firmware == .model else { return HDPMPreset.all }
    let model = try ModelLibrary.scoreModel(board.model)
    let network = model.network
    guard network.timeFrequencies.count == 7 else {
      throw HDPMError(
        .value, "model '\(model.name)' has \(network.timeFrequencies.count) frequencies; the board's channels serve 7")
    }
    let labels: [Int?] = network.isConditional ? (0..<min(network.classCount, 10)).map { $0 } : [nil]
    return labels.map { label in
      HDPMPreset(
        name: Character("\(label ?? 0)"), frequencies: network.timeFrequencies, offsets: network.classEmbedding(label))
    }
  }

  /// Powers up the virtual board that an `hdpm-emu:` address describes.
  public static func virtualHDPM(_ board: BoardAddress.EmulatedHDPM) throws -> VirtualHDPM {
    let model = try ModelLibrary.scoreModel(board.model)
    return VirtualHDPM(
      firmware: HDPMFirmware(presets: try presets(of: board), noiseSeed: board.seed),
      analog: try HDPMAnalogLoop(model, profile: ChipProfile.load(nameOrPath: board.profile), seed: board.seed))
  }

  /// Opens the published board, or its twin, for the time of `body`.
  ///
  /// - Parameters:
  ///   - scope: folder into which an oscilloscope writes one capture a run; the twin brings its own and needs none.
  ///   - uptime: seconds since the real board was powered up, if they are known.
  public static func withHDPMBoard<Result: Sendable>(
    at address: BoardAddress, scope: String? = nil, uptime: Duration? = nil,
    configuration: HDPMBoard.Configuration = .init(),
    _ body: (HDPMBoard, (any ScopeSource)?) async throws -> Result
  ) async throws -> Result {
    var configuration = configuration
    let board: HDPMBoard
    let source: (any ScopeSource)?
    switch address {
    case .emulatedHDPM(let description):
      let link = VirtualHDPMLink(try virtualHDPM(description), address: address.description)
      configuration.powerUp = .zero
      source = link
      board = try await HDPMBoard(clock: link, configuration: configuration) { () throws(TransportError) in
        try link.open()
      }
    case .hdpm(let port):
      let clock = SystemSerialClock()
      if let uptime { configuration.powerUp = clock.now - uptime }
      source = try scope.map { try ScopeDirectory($0, clock: clock) }
      let name = address.description
      board = try await HDPMBoard(clock: clock, configuration: configuration) { () throws(TransportError) in
        try SerialPort.open(path: port, address: name, clock: clock)
      }
    default:
      throw HDPMError(.unsupported, "\(address) is no published board; hdpm:PORT and hdpm-emu: are")
    }
    do {
      let result = try await body(board, source)
      await board.close()
      return result
    } catch {
      await board.close()
      throw error
    }
  }
}
