import Foundation
import RRAMUSB
import Testing

@Suite struct USBIdentityTests {
  /// The rule that opens the device and the code that looks for it must mean the same boards.
  @Test func theRuleOfUdevNamesTheSameBoards() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../udev/70-rram.rules")
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { $0.contains("MODE=") }
    #expect(lines.count == 1)
    let rule = try #require(lines.first)
    let identity = USBIdentity.testBoard
    let hex = { (value: UInt16) in
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 4 - digits.count) + digits
    }
    for match in [
      "ATTR{idVendor}==\"\(hex(identity.vendorID))\"", "ATTR{idProduct}==\"\(hex(identity.productID))\"",
      "ATTR{manufacturer}==\"\(identity.manufacturer)\"", "ATTR{product}==\"\(identity.product)\"",
    ] {
      #expect(rule.contains(match), "\(match)")
    }
  }
}
