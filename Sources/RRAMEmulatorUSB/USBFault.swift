/// A fault that an emulated board can be asked to have, for tests of hosts.
///
/// Over the bus: vendor request ``request`` to the device with the four bytes of ``bytes(_:)``. Boards that were not told to
/// allow faults stall it, as they do any unknown request.
public enum USBFault: UInt16, Sendable, Hashable, CaseIterable {
  /// The next transfer in is refused, and all after it until the halt is cleared.
  case stallIn = 1
  /// The same for transfers out.
  case stallOut = 2
  /// The next burst ends after half of its bytes; the others are lost.
  case shortPacket = 3
  /// Nothing goes in or out for as many milliseconds as the parameter says.
  case delay = 4
  /// The next transfer in is longer than what was asked for.
  case babble = 5
  /// The board leaves after as many milliseconds as the parameter says, in the middle of whatever is under way, and comes
  /// back after as many more.
  case leave = 6
  /// SAFE, RESYNC and STATUS are not answered until the board has left and come back.
  case mute = 7
  /// The bytes of every burst are inverted, until the board has left and come back.
  case garble = 8
  /// The board sends a burst of as many bytes as the parameter says, which count up from 0.
  case burst = 9

  /// `bRequest`; `bmRequestType` is 0x40.
  public static let request: UInt8 = 0xe0

  /// Data of the request: raw value u16, parameter u16, little-endian.
  public func bytes(_ parameter: UInt16 = 0) -> [UInt8] { rawValue.bytes + parameter.bytes }
}

extension FixedWidthInteger {
  /// Little-endian, as USB and usbredir count.
  var bytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}
