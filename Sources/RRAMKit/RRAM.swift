internal import Foundation
internal import HDPMBoard
public import Logging
public import RRAMBoard
public import RRAMEmulator
public import RRAMProfiles
public import RRAMRecords
internal import RRAMTransport
public import RRAMUSB
internal import RRAMWire

/// Version of this toolkit.
public let toolkitVersion = "0.1.0"

/// The composition root: the one place that knows every kind of board.
public enum RRAM {
  /// Opens the board at `address` for the time of `body`, and makes it safe on every way out.
  ///
  /// ```swift
  /// let matrix = try await RRAM.withBoard("emu:profile=cmo-hfox,seed=42") { board in
  ///   try await board.read(CellBlock(macro: 0, shape: board.boardDescription.macros.shape))
  /// }
  /// ```
  /// - Parameters:
  ///   - home: where the limits records of real chips lie.
  ///   - files: what crosses the link is kept there.
  public static func withBoard<Result: Sendable>(
    _ address: String, configuration: BoardConfiguration = BoardConfiguration(), home: RecordsHome = RecordsHome(),
    files: LinkFiles = LinkFiles(), logger: Logger = Logger(label: "rram.board"),
    _ body: (Board) async throws -> Result
  ) async throws -> Result {
    try await withBoard(
      at: BoardAddress(address), configuration: configuration, home: home, files: files, logger: logger, body)
  }

  /// The same for an address that is parsed already.
  public static func withBoard<Result: Sendable>(
    at address: BoardAddress, configuration: BoardConfiguration = BoardConfiguration(),
    home: RecordsHome = RecordsHome(), files: LinkFiles = LinkFiles(), logger: Logger = Logger(label: "rram.board"),
    _ body: (Board) async throws -> Result
  ) async throws -> Result {
    var (configuration, logger) = (configuration, logger)
    configuration.retries = max(configuration.retries, 2)
    if configuration.chipLimits == nil {
      configuration.chipLimits = { info in
        try chipLimits(chip: info.chipID, emulated: info.isEmulated, home: home)
      }
    }
    // Lifetime counts, except of a chip that is made anew each time.
    let book = WearBook(home: home)
    if !address.isMadeAnew {
      if configuration.pulsed == nil { configuration.pulsed = { book.enter($0) } }
      if configuration.lifetimePulses == nil {
        configuration.lifetimePulses = { chip, macro in try book.lifetimePulses(chip: chip, macro: macro) }
      }
      if configuration.pulsesPerLife == nil {
        configuration.pulsesPerLife = { try pulsesPerLife(chip: $0.chipID, home: home) }
      }
      if configuration.readCalibration == nil {
        configuration.readCalibration = { info, description in
          try newest(
            { try $0.readCalibrations(chip: info.chipID, board: info.serial) }, of: info, description, home: home)
        }
      }
      if configuration.loopCalibration == nil {
        configuration.loopCalibration = { info, description in
          try newest(
            { try $0.loopCalibrations(chip: info.chipID, board: info.serial) }, of: info, description, home: home)
        }
      }
      if configuration.lineCalibration == nil {
        configuration.lineCalibration = { try lineCalibration(board: $0.serial, $1, home: home) }
      }
    }
    func session(_ transport: any Transport, device: USBDevice? = nil) async throws -> Result {
      let configuration = configuration
      return try await files.keeping(transport, device: device) { transport in
        do {
          let result = try await RRAMBoard.withBoard(transport, configuration: configuration, logger: logger, body)
          try book.close()
          return result
        } catch {
          // The first failure is the one to tell of.
          try? book.close()
          throw error
        }
      }
    }
    switch address {
    case .emulated(let chip):
      let emulated = try emulatedBoard(chip)
      do {
        let result = try await session(InMemoryLink(to: emulated, address: address.description))
        await emulated.close()
        return result
      } catch {
        await emulated.close()
        throw error
      }
    case .socket(let path):
      return try await session(UnixSocketTransport.open(path: path))
    case .replay(let path):
      let replay = try ReplayingTransport(path: path)
      configuration.sessionID = configuration.sessionID ?? LinkFiles.sessionID(in: replay.sends)
      // Every recording ends, and with it the link: worth no line in a log. What a host does otherwise than then is thrown.
      logger.logLevel = .critical
      return try await session(replay)
    case .hdpm, .emulatedHDPM:
      throw HDPMError(
        .unsupported,
        "\(address): the published board draws samples and nothing else; it forms, programs, reads and aborts nothing")
    case .usb(let serial):
      let transport = try await openUSB(USBTransport.find(serial: serial), logger: logger)
      return try await session(transport, device: transport.device)
    }
  }

  /// The boards that are plugged in, without opening them; none where the machine has no USB.
  public static func attachedBoards() throws -> [USBDevice] {
    let context: USBContext
    do throws(TransportError) {
      context = try USBContext()
    } catch {
      guard error.code == .notFound else { throw error }
      return []
    }
    return try context.devices()
  }

  /// Opens a board on USB if its protocol level, which is known beforehand, can be spoken at all.
  static func openUSB(_ device: USBDevice, logger: Logger) async throws -> USBTransport {
    guard device.protocolLevel >= ProtocolLevel.minimum else {
      throw BoardError(
        .versionMismatch,
        "the firmware speaks protocol level \(device.protocolLevel) at most, this host \(ProtocolLevel.minimum) to "
          + "\(ProtocolLevel.current)", address: device.address)
    }
    return try await USBTransport.open(device, logger: logger)
  }

  /// Grounds the board at `address` by a request beside the frames; works while another process holds the board.
  ///
  /// - Parameter files: what crosses the link is kept there; a single control request is captured, not recorded.
  public static func makeSafe(
    _ address: BoardAddress, files: LinkFiles = LinkFiles(), logger: Logger = Logger(label: "rram.board")
  ) async throws {
    switch address {
    case .socket(let path):
      try await captured {
        try files.capture(of: nil, address: address.description)
      } safe: { () throws(TransportError) in
        try await UnixSocketTransport.control(path: path, .safe)
      }
    case .usb(let serial):
      let device = try await USBTransport.find(serial: serial)
      try await captured {
        try files.capture(of: device, address: device.address)
      } safe: { () throws(TransportError) in
        try await USBTransport.control(device, .safe)
      }
    default:
      // Opening a session makes the board safe, and so does closing it.
      try await withBoard(at: address, files: files, logger: logger) { _ in }
    }
  }

  /// The array comes before the file: SAFE is sent even where there can be no capture.
  private static func captured(
    _ open: () throws -> USBCapture?, safe: () async throws(TransportError) -> [UInt8]
  ) async throws {
    let capture: USBCapture?
    do {
      capture = try open()
    } catch {
      _ = try await safe()
      throw error
    }
    guard let capture else {
      _ = try await safe()
      return
    }
    do {
      _ = try await capture.control(.safe, data: [], safe)
    } catch {
      try? await capture.finish()
      throw error
    }
    try await capture.finish()
  }

  /// Powers up the emulated board that an `emu:` address describes.
  public static func emulatedBoard(_ chip: BoardAddress.EmulatedChip) throws -> EmulatedBoard {
    try EmulatedBoard(
      profile: ChipProfile.load(nameOrPath: chip.profile), board: BoardDescription.load(nameOrPath: chip.board),
      configuration: .init(seed: chip.seed, stateFile: chip.stateFile, loop: chip.loop, temperature: chip.temperature))
  }

  /// What the ledger says of the pulses that a chip's cells may get in their life.
  static func pulsesPerLife(chip id: String, home: RecordsHome) throws -> Int? {
    guard ChipLedger.exists(in: home) else { return nil }
    return try ChipLedger(home: home).chip(id)?.lifetimePulses
  }

  /// The newest calibration of a kind in the ledger that is for a chip on this board as it describes itself.
  static func newest<Calibration: ChipCalibration>(
    _ calibrations: (ChipLedger) throws -> [Calibration], of info: BoardInfo, _ description: BoardDescription,
    home: RecordsHome
  ) throws -> Calibration? {
    guard ChipLedger.exists(in: home) else { return nil }
    return try calibrations(ChipLedger(home: home)).first {
      $0.obstacle(of: info.chipID, on: info.serial, description) == nil
    }
  }

  /// The newest calibration of a board's loop converters in the ledger that was made as the board describes itself now.
  static func lineCalibration(
    board serial: String, _ description: BoardDescription, home: RecordsHome
  ) throws -> ConverterLineCalibration? {
    guard ChipLedger.exists(in: home) else { return nil }
    return try ChipLedger(home: home).lineCalibrations(board: serial).first {
      $0.obstacle(on: serial, description) == nil
    }
  }

  /// What a board says of itself, and the calibration of its loop converters that a session would use; an emulated board is not opened for that.
  public static func describedBoard(
    at address: BoardAddress, home: RecordsHome = RecordsHome(), logger: Logger
  ) async throws -> (description: BoardDescription, calibration: ConverterLineCalibration?) {
    guard case .emulated(let chip) = address else {
      return try await withBoard(at: address, home: home, logger: logger) { ($0.boardDescription, $0.lineCalibration) }
    }
    let description = try BoardDescription.load(nameOrPath: chip.board)
    guard !address.isMadeAnew else { return (description, nil) }
    let serial = EmulatedBoard.serial(seed: chip.seed)
    return (description, try lineCalibration(board: serial, description, home: home))
  }

  /// The host's own limits for a chip: its record, or reads only for a real chip without one.
  ///
  /// An emulated chip brings the limits of its profile along; these never apply to a real one.
  public static func chipLimits(chip id: String, emulated: Bool, home: RecordsHome) throws -> LimitRecord? {
    let file = home.limitsFile(chip: id)
    if FileManager.default.fileExists(atPath: file.path) {
      return LimitRecord(.chip, file: file.path, try ChipLimits.load(path: file.path))
    }
    return emulated ? nil : LimitRecord(.none, .readOnly)
  }
}
