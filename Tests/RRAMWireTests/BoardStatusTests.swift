import Testing

@testable import RRAMWire

@Suite struct BoardStatusTests {
  static let status = BoardStatus(
    isEnergised: true, isGrounded: false, hasSession: true, lastSafeCause: .watchdog, operations: 3,
    faults: [.overCurrent, .storage], bootID: 0x0807_0605_0403_0201)
  static let bytes: [UInt8] = [1, 0b101, 4, 3, 0b10010, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]

  @Test func hasTheLayoutOfTheSpecification() throws {
    #expect(Self.status.bytes == Self.bytes)
    #expect(try BoardStatus(bytes: Self.bytes) == Self.status)
  }

  @Test func writesManyOperationsAs255() {
    var status = Self.status
    status.operations = 1000
    #expect(status.bytes[3] == 255)
  }

  @Test func refusesOtherLengthsAndLayouts() {
    #expect(throws: WireError.self) { try BoardStatus(bytes: Array(Self.bytes.dropLast())) }
    #expect(throws: WireError.self) { try BoardStatus(bytes: Self.bytes + [0]) }
    #expect(throws: WireError.self) { try BoardStatus(bytes: [2] + Self.bytes.dropFirst()) }
  }
}
