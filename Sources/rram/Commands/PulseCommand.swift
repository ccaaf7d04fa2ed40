import ArgumentParser
import Foundation
import RRAMKit

struct PulseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pulse", abstract: "Give pulses to cells and read them before and after.",
    discussion: """
      Gate voltage and width are the profile's unless they are given. Limits of the chip and its lifetime limit hold; a forming pulse needs \
      the verb 'form', which ramps.
      """)

  enum Kind: String, ExpressibleByArgument, CaseIterable { case set, reset }

  @Argument(help: "set or reset.")
  var kind: Kind

  @Argument(help: "Cells as ROW:COLUMN; for a whole row or column ROW: or :COLUMN.")
  var cells: [String]

  @Option(help: "Volts on the driven line: bit line for set, source line for reset.")
  var amplitude: Double

  @Option(help: "Volts on the gate. Default: the profile's.")
  var wordLine: Double?

  @Option(help: "Width in microseconds. Default: the profile's.")
  var widthMicroseconds: Double?

  @Option(help: "Equal pulses.")
  var count = 1

  @Option(help: "Which macro of the board.")
  var macro = 0

  @Option(help: "Conversions averaged in each read.")
  var averages = 16

  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    for cell in cells where CellPattern(cell) == nil {
      throw ValidationError("\(cell): expected ROW:COLUMN, ROW: or :COLUMN")
    }
    if count < 1 { throw ValidationError("--count \(count): at least 1") }
    if averages < 1 { throw ValidationError("--averages \(averages): at least 1") }
    if !(amplitude > 0) { throw ValidationError("--amplitude \(amplitude): above 0 V") }
  }

  func run() async throws {
    let address = try options.address()
    let named = try chip.namedProfile(at: address)
    let settings = [
      "kind": kind.rawValue, "cells": cells.joined(separator: " "), "amplitude_V": "\(amplitude)", "count": "\(count)",
      "macro": "\(macro)",
    ]
    let output = try await withRecordedBoard(options, runOptions, trigger: trigger.request, settings: settings) {
      board, record in
      let profile = try named ?? ChipOptions.profile(of: board)
      let shape = board.boardDescription.macros.shape
      let block = CellBlock(macro: macro, shape: shape)
      var mask = CellMask(cellCount: shape.cellCount)
      for cell in cells.compactMap({ CellPattern($0) }).flatMap({ $0.cells(macro: macro, shape: shape) }) {
        guard cell.row < shape.rows, cell.column < shape.columns else {
          throw CommandError(message: "\(cell) does not lie in a macro of \(shape)", exitCode: ExitStatus.failure)
        }
        mask[cell.index(in: shape)] = true
      }
      let selection = CellSelection(block: block, mask: mask)
      let bias = kind == .set ? profile.programming.set : profile.programming.reset
      let request = Pulse(
        cells: selection, kind: kind == .set ? .set : .reset, wordLine: wordLine.map { Volts($0) } ?? bias.wordLine,
        bitLine: kind == .set ? Volts(amplitude) : .zero, sourceLine: kind == .reset ? Volts(amplitude) : .zero,
        width: widthMicroseconds.map { .nanoseconds(Int64(($0 * 1000).rounded())) } ?? bias.width, count: count)
      // Refused before the first read, too: nothing is done to the chip then.
      try board.check.check(request)
      let read = board.defaultReadBias(averages: averages)
      let before = try await board.read(selection, bias: read)
      let report = try await board.pulse(request)
      let after = try await board.read(selection, bias: read)
      let output = PulseOutput(
        cells: report.addresses.enumerated().map { place, cell in
          .init(
            row: cell.row, column: cell.column, beforeMicrosiemens: Double(before[place]) * 1e6,
            afterMicrosiemens: Double(after[place]) * 1e6, pulses: Int(report.pulses[place]))
        }, kind: kind.rawValue, amplitudeVolts: amplitude, macro: macro, absoluteScale: board.absoluteScale)
      try record.events.append(
        report.addresses.enumerated().map { place, cell in
          .init(
            kind.rawValue, cell: cell, conductance: Siemens(Double(after[place])),
            voltage: Volts(kind == .set ? amplitude : -amplitude), pulses: Int(report.pulses[place]), reads: averages)
        })
      return output
    }
    try answer(output, json: options.common.json)
  }
}

struct PulseOutput: CommandOutput {
  struct Cell: Encodable {
    var row: Int
    var column: Int
    var beforeMicrosiemens: Double
    var afterMicrosiemens: Double
    var pulses: Int
  }

  var cells: [Cell]
  var kind: String
  var amplitudeVolts: Double
  var macro: Int
  var absoluteScale: String

  var text: String {
    table(
      [["row:column", "before (µS)", "after (µS)", "pulses"]]
        + cells.prefix(64).map {
          [
            "\($0.row):\($0.column)", $0.beforeMicrosiemens.formatted(digits: 4),
            $0.afterMicrosiemens.formatted(digits: 4),
            "\($0.pulses)",
          ]
        }) + (cells.count > 64 ? "\n… and \(cells.count - 64) more" : "")
      + "\nmacro \(macro), \(kind.uppercased()) pulses of \(amplitudeVolts) V; absoluteScale: \(absoluteScale)"
  }
}
