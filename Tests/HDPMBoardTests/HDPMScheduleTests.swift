import Foundation
import HDPMBoard
import RRAMUnits
import Testing

@Suite struct HDPMScheduleTests {
  static func schedule(
    _ preset: HDPMPreset, _ bias: HDPMSettings.Bias, _ change: (inout HDPMSettings) -> Void = { _ in }
  ) -> HDPMSchedule {
    var settings = HDPMSettings(preset: preset)
    settings.bias = bias
    change(&settings)
    return HDPMSchedule(settings)
  }

  static func names(_ bias: HDPMSettings.Bias, _ condition: (HDPMSchedule) -> Bool) -> String {
    HDPMPreset.all.filter { condition(schedule($0, bias)) }.map { String($0.name) }.joined()
  }

  @Test func overflowingAndClippedPresetsAreThePublishedOnes() {
    #expect(Self.names(.millivolts50) { !$0.overflowed.isEmpty || !$0.clipped.isEmpty } == "")
    #expect(Self.names(.millivolts100) { !$0.overflowed.isEmpty } == "2efgABCFGHI")
    #expect(Self.names(.millivolts100) { $0.overflowed.isEmpty && !$0.clipped.isEmpty } == "acdD")
    #expect(Self.names(.millivolts100) { $0.overflowed.isEmpty && $0.clipped.isEmpty } == "0134bE")
    #expect(Self.names(.millivolts200) { !$0.overflowed.isEmpty || !$0.clipped.isEmpty } == "0123abcdefgABCDEFGHI")
  }

  @Test func theGlitchOfTickTwoHundredIsOnChannel2COfPresets1To3Only() {
    for preset in HDPMPreset.all {
      let glitches = Self.schedule(preset, .millivolts100).glitches
      if "123".contains(preset.name) {
        #expect(glitches.map { $0.tick } == [200])
        #expect(glitches.map { "\($0.channel)" } == ["2C"])
        // 0.5·(2π + c₇)
        #expect(glitches.allSatisfy { abs($0.value - 0.5 * (6.2832 + preset.offsets[6])) < 1e-3 })
      } else {
        #expect(glitches.isEmpty, "preset \(preset.name)")
      }
    }
  }

  @Test func wordsComeInTheOrderOfTheFirmware() {
    let schedule = Self.schedule(HDPMPreset.all[0], .millivolts50)
    #expect(schedule.words.count == 242 * 18)
    let order = "9A 9B 1A 1B 1C 1D 2A 2B 2C 2D 3A 3B 3C 3D 4A 4B 9C 9D"
    for tick in [0, 1, 240, 241] {
      let frame = schedule.words.filter { $0.tick == tick }
      #expect(frame.map { "\($0.channel)" }.joined(separator: " ") == order)
    }
    #expect(
      schedule.words.suffix(18).map { $0.word }
        == [0x0800, 0x1800] + [0x0800, 0x1800, 0x2800, 0x3800, 0x0800, 0x1800, 0x2800, 0x3800]
        + [0x0800, 0x1800, 0x2800, 0x3800, 0x0800, 0x1800] + [0x2800, 0x3800])
  }

  /// The published closed forms in double precision, with t = tick · 5 ms.
  static func closedForm(_ settings: HDPMSettings, tick: Int) -> [Double] {
    let tau = 1 - Double(tick) * 0.005
    let beta = 0.499 * tau + 0.001
    let scale = settings.preset.fixedScale.map(Double.init) ?? 5 * settings.bias.volts.rawValue
    let phases = settings.preset.frequencies.map { 2 * Double.pi * Double($0) * tau }
    return [0.5 * beta * Double(settings.coefficient), -0.25 * beta]
      + zip(phases, settings.preset.offsets).map { scale * (sin($0) + Double($1)) }
      + zip(phases, settings.preset.offsets.dropFirst(7)).map { scale * (cos($0) + Double($1)) }
      + [Double(settings.offsets.x), Double(settings.offsets.y)]
  }

  @Test(arguments: HDPMSettings.Bias.allCases)
  func everyWordIsWithinOneCodeOfTheClosedForms(bias: HDPMSettings.Bias) {
    var different = 0
    for preset in HDPMPreset.all {
      let schedule = Self.schedule(preset, bias) {
        $0.coefficient = 0.37
        $0.offsets = [0.12, -0.3]
      }
      for tick in 0..<HDPMSchedule.activeTicks {
        let values = Self.closedForm(schedule.settings, tick: tick)
        for (index, value) in values.enumerated() {
          let word = schedule.words[tick * 18 + index]
          if word.fit == .glitch { continue }
          let code = max(0, 2048 * (1 + value))
          let sent = max(0, 2048 * (1 + Double(word.value)))
          if sent.rounded(.down) != code.rounded(.down) { different += 1 }
          #expect(abs(sent.rounded(.down) - code.rounded(.down)) <= 1, "\(preset.name) \(tick) \(word.channel)")
          if word.fit == .fits {
            #expect(abs(Double(word.written.code) - code.rounded(.down)) <= 1, "\(preset.name) \(tick) \(word.channel)")
            #expect(word.written.channel == word.channel)
          }
        }
      }
    }
    // Rounding alone moves few words over an edge; a constant that is slightly wrong moves many.
    #expect(different < HDPMPreset.all.count * HDPMSchedule.activeTicks * HDPMSchedule.wordsPerTick / 50)
  }

  @Test func anOverflowWritesTheNextChannelFromAAndCAndWrapsOnBAndD() {
    for preset in HDPMPreset.all {
      for word in Self.schedule(preset, .millivolts200).overflowed where word.value < 2.99 {
        let target = ["A": "B", "B": "B", "C": "D", "D": "D"]["\(word.channel)".suffix(1).description]
        #expect("\(word.written.channel)".suffix(1).description == target)
        #expect(word.written.code == Int((2048 * (1 + word.value)).rounded(.towardZero)) - 4096)
      }
    }
  }

  @Test func aChannelWhoseWordsGoAstrayHoldsItsCode() throws {
    var seen = 0
    for preset in HDPMPreset.all {
      let schedule = Self.schedule(preset, .millivolts100)
      let played = schedule.played
      for effect in schedule.effects where !effect.held.isEmpty && schedule.glitches.isEmpty {
        let column = try #require(HDPMSchedule.channels.firstIndex(of: effect.channel))
        for tick in effect.held where tick > 0 { #expect(played[tick][column] == played[tick - 1][column]) }
        let next = HDPMSchedule.channels[column + 1]
        let neighbour = try #require(schedule.effects.first { $0.channel == next })
        #expect(neighbour.disturbed == effect.held)
        // The neighbour's own word comes right after, so its code at the end of the tick is its own.
        for tick in effect.held where !neighbour.held.contains(tick) {
          #expect(played[tick][column + 1] == schedule.words[tick * 18 + column + 1].written.code)
        }
        seen += 1
      }
    }
    #expect(seen > 5)
  }

  @Test func aRunThatOverflowsIsRefusedWithTheBiasThatFits() throws {
    let schedule = Self.schedule(try HDPMPreset.named("2"), .millivolts100)
    let first = schedule.overflowed[0]
    #expect {
      try schedule.checkRange()
    } throws: {
      let text = "\($0)"
      return text.hasPrefix("preset 2 at v_bias 100 mV: channel \(first.channel) overflows at t = ")
        && text.hasSuffix("; the largest v_bias that fits is 50 mV")
    }
    try Self.schedule(try HDPMPreset.named("2"), .millivolts50).checkRange()
  }

  @Test func aCoefficientThatFitsAtNoBiasIsNamed() throws {
    // g2 = 0.5·β·coef starts at 0.25·coef.
    let schedule = Self.schedule(HDPMPreset.all[0], .millivolts50) { $0.coefficient = 4.5 }
    #expect(schedule.overflowed.allSatisfy { "\($0.channel)" == "9A" })
    #expect {
      try schedule.checkRange()
    } throws: {
      "\($0)".hasSuffix("; it fits at no v_bias: coefficient 4.5")
    }
  }

  @Test func noiseThatOftenLeavesTheRangeIsRefusedWithTheScaleThatFits() throws {
    let noisy = Self.schedule(HDPMPreset.all[0], .millivolts50) { $0.noise = true }
    // At the start β = 0.4975, so 4.4 % of the draws lie beyond full scale; the share falls with β.
    #expect(noisy.expectedNoiseExcursions > 2)
    #expect(throws: HDPMError.self) { try noisy.checkRange() }
    let quiet = Self.schedule(HDPMPreset.all[0], .millivolts50) {
      $0.noise = true
      $0.noiseScale = 0.3
    }
    try quiet.checkRange()
    // The closing frame leaves the last value behind.
    #expect(quiet.words.filter { $0.noisy }.count == 2 * 242)
  }
}
