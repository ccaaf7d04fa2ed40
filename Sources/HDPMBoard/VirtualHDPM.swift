/// The whole virtual board: its firmware, and the loop that its converters drive.
public struct VirtualHDPM: Sendable {
  public private(set) var firmware: HDPMFirmware
  public let analog: HDPMAnalogLoop

  public init(firmware: HDPMFirmware, analog: HDPMAnalogLoop) {
    self.firmware = firmware
    self.analog = analog
  }

  /// Puts bytes on the board's line at the present time.
  public mutating func receive(_ bytes: [UInt8]) { firmware.receive(bytes) }

  /// Lets board time pass; returns what the board says, and a capture of every run that ended.
  public mutating func advance(
    to time: Duration
  ) -> (bytes: [UInt8], captures: [(run: Int, capture: Result<ScopeCapture, any Error>)]) {
    let bytes = firmware.advance(to: time)
    return (
      bytes,
      firmware.takeFinishedRuns().map { run in (run.number, Result { try analog.capture(run) }) }
    )
  }
}
