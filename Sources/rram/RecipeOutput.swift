public import ArgumentParser
import Foundation
public import RRAMKit

/// What a recipe does, costs and promises.
struct RecipeOutput: CommandOutput {
  var recipe: QualityRecipe
  var model: String

  func encode(to encoder: any Encoder) throws { try recipe.encode(to: encoder) }

  var text: String {
    func ratios(_ forecast: QualityForecast) -> [String] {
      [
        "\(forecast.kl2d.median.formatted(digits: 3)) (worst \(forecast.kl2d.largest.formatted(digits: 3)))",
        "\(forecast.slicedWasserstein.median.formatted(digits: 3)) (worst \(forecast.slicedWasserstein.largest.formatted(digits: 3)))",
      ]
    }
    let forecast = recipe.choice.forecast
    let bounds = recipe.goal.bounds
    let promise =
      bounds.map {
        recipe.meetsGoal
          ? "meets '\(recipe.goal.rawValue)': at most \($0.kl2d) and \($0.slicedWasserstein)"
          : "does not meet '\(recipe.goal.rawValue)', which asks for at most \($0.kl2d) and \($0.slicedWasserstein); it is the best that was found"
      } ?? "'\(recipe.goal.rawValue)' promises nothing"
    let hint =
      recipe.meetsGoal || recipe.considered.contains { $0.mapping.pairs == .sparse }
      ? ""
      : "\nhint: 'rram form --for \(model) --quality \(recipe.goal.rawValue)' forms and screens what a better way would need"
    let forming =
      recipe.forming.map {
        "\nbefore that \($0.cells) cells to form\(recipe.choice.screened ? " and screen" : ""), about \(Int($0.pulses.rounded())) pulses and \($0.chipSeconds.formatted(digits: 3)) s of chip time"
      } ?? ""
    let head = ["way", "KL2d / software's", "sliced Wasserstein / software's"]
    return
      "'\(model)', \(recipe.goal.rawValue): \(recipe.choice.name); strategy \(recipe.strategy.rawValue), ±\(recipe.tolerance.formatted(digits: 3)) µS\n"
      + "\(recipe.cells) cells, about \(Int(recipe.pulses.rounded())) pulses and \(recipe.chipSeconds.formatted(digits: 3)) s of chip time; statistics: \(recipe.basis)\(recipe.errorScale == 1 ? "" : ", errors \(recipe.errorScale.formatted(digits: 3)) times the profile's")\(forming)\n"
      + "modelled on \(forecast.chips) chips × \(forecast.samples) samples, \(age(forecast.age)) after writing:\n"
      + table([head] + recipe.considered.map { [$0.name] + ratios($0.forecast) }) + "\n" + promise + hint
  }
}

extension QualityGoal: ExpressibleByArgument {}
