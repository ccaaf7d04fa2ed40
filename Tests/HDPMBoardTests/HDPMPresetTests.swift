import HDPMBoard
import Testing

@Suite struct HDPMPresetTests {
  @Test func thereAreTheTwentyOneOfTheFirmware() {
    #expect(HDPMPreset.names == "0 1 2 3 4 a b c d e f g A B C D E F G H I")
    #expect(HDPMPreset.all.map { $0.fixedScale } == (0..<21).map { $0 == 4 ? 0.05 : nil })
  }

  @Test func anUnknownNameIsRefusedWithTheNamesThereAre() {
    #expect {
      try HDPMPreset.named("z")
    } throws: {
      "\($0)" == "preset 'z': unknown; there are 0 1 2 3 4 a b c d e f g A B C D E F G H I"
    }
  }

  static let header = "preset,scale,W1,W2,W3,W4,W5,W6,W7,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14"
  static let numbers = (1...21).map { "0.\($0)" }.joined(separator: ",")

  @Test func ownCoefficientsAreReadFromTheSameTable() throws {
    let presets = try HDPMPreset.parse("# mine\n\(Self.header)\nm,5*v_bias,\(Self.numbers)\n", file: "mine.csv")
    #expect(presets.count == 1)
    #expect(presets[0].frequencies == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    #expect(presets[0].offsets.last == 0.21)
  }

  @Test(arguments: [
    ("", "mine.csv: no preset in it"),
    ("preset,W1\n", "mine.csv, line 1: columns 'preset,W1', '\(header)' expected"),
    ("\(header)\nm,5*v_bias,1\n", "mine.csv, line 2: 3 fields, 23 expected"),
    (
      "\(header)\nm,5*v_bias,x\(numbers.dropFirst(3))\n",
      "mine.csv, line 2: W1 'x' is not a number from -100 to 100"
    ),
    ("\(header)\nm,0,\(numbers)\n", "mine.csv, line 2: scale '0' is neither 5*v_bias nor a number above 0"),
    ("\(header)\nmm,1,\(numbers)\n", "mine.csv, line 2: preset 'mm' is not one ASCII character"),
    ("\(header)\nm,1,\(numbers)\nm,1,\(numbers)\n", "mine.csv, line 3: preset 'm' stands twice"),
  ])
  func aDamagedTableIsRefusedByLineAndColumn(text: String, message: String) {
    #expect {
      try HDPMPreset.parse(text, file: "mine.csv")
    } throws: {
      "\($0)" == message
    }
  }
}
