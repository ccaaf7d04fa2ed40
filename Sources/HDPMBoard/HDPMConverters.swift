/// The output registers of the five converters that a run writes.
public struct HDPMConverters: Sendable, Hashable {
  /// Mid-scale, where every output is after boot and after a run.
  public static let midScale = 2048

  /// Codes of the outputs A–D of converters 1, 2, 3, 4 and 9.
  private var codes = [Int](repeating: Self.midScale, count: 20)

  public init() {}

  private static func index(_ channel: HDPMSchedule.Channel) -> Int {
    (channel.converter == 9 ? 4 : channel.converter - 1) * 4 + channel.output
  }

  public subscript(channel: HDPMSchedule.Channel) -> Int { codes[Self.index(channel)] }

  /// Takes a word as the converter does: by the channel bits it carries, whatever was meant.
  public mutating func write(_ word: HDPMSchedule.Word) {
    let (channel, code) = word.written
    codes[Self.index(channel)] = code
  }

  /// The codes of ``HDPMSchedule/channels`` in that order.
  public var played: [Int] { HDPMSchedule.channels.map { self[$0] } }
}

/// What one channel does in a run in which words go astray.
public struct HDPMChannelEffect: Sendable, Hashable {
  public var channel: HDPMSchedule.Channel
  /// What the channel plays: g2, fx, t1 …
  public var role: String
  /// Ticks whose word went to another channel: the output keeps its code of the tick before.
  public var held: [Int]
  /// Ticks in which another channel's word stands on this output until its own is written, under a millisecond later.
  public var disturbed: [Int]
  /// Ticks in which the channel is written with a code that does not belong to its value.
  public var wrapped: [Int]
  public var clipped: [Int]
}

extension HDPMSchedule {
  /// The codes on ``channels`` at the end of every tick, held words and wrapped codes included: 242 rows of 18.
  public var played: [[Int]] {
    var converters = HDPMConverters()
    return stride(from: 0, to: words.count, by: Self.wordsPerTick).map { start in
      for word in words[start..<start + Self.wordsPerTick] { converters.write(word) }
      return converters.played
    }
  }

  /// What each channel does that is not what was meant; empty for a run whose words all fit.
  public var effects: [HDPMChannelEffect] {
    Self.channels.indices.compactMap { index in
      let channel = Self.channels[index]
      var effect = HDPMChannelEffect(
        channel: channel, role: Self.roles[index], held: [], disturbed: [], wrapped: [], clipped: [])
      for word in words where word.channel.converter == channel.converter {
        let written = word.written
        if word.channel == channel {
          if written.channel != channel {
            effect.held.append(word.tick)
          } else if word.fit == .overflowed || word.fit == .glitch {
            effect.wrapped.append(word.tick)
          } else if word.fit == .clipped {
            effect.clipped.append(word.tick)
          }
        } else if written.channel == channel {
          effect.disturbed.append(word.tick)
        }
      }
      let quiet = effect.held.isEmpty && effect.disturbed.isEmpty && effect.wrapped.isEmpty && effect.clipped.isEmpty
      return quiet ? nil : effect
    }
  }
}
