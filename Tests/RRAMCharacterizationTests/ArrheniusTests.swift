import Foundation
import Testing

@testable import RRAMCharacterization

@Suite struct ArrheniusTests {
  /// A variance that grows with the logarithm of time, as cells lose theirs; no noise.
  @Test(arguments: [0.3, 0.8, 1.1, 1.6])
  func theEnergyOfALawIsFound(energy: Double) throws {
    let celsius = [25.0, 65, 105]
    let ages = celsius.map { _ in [1.0, 3, 10, 30, 100, 300, 1000] }
    let spreads = zip(ages, celsius).map { ages, celsius in
      let factor = exp(energy / 8.617_333_262e-5 * (1 / 298.15 - 1 / (celsius + 273.15)))
      return ages.map { (1.5 + 1.2 * log10(1 + $0 * factor / 0.005)).squareRoot() }
    }
    let found = try #require(Arrhenius(spreads: spreads, ages: ages, celsius: celsius)).energy
    #expect(abs(found / energy - 1) < 0.002, "\(found)")
  }

  @Test func twoTemperaturesAreTooFew() {
    #expect(Arrhenius(spreads: [[1, 2], [2, 3]], ages: [[1, 10], [1, 10]], celsius: [25, 85]) == nil)
  }

  /// The hotter, the less is lost: no energy from 0 on says that.
  @Test func curvesThatDoNotJoinGiveNoEnergy() throws {
    let ages = [[1.0, 10, 100], [1, 10, 100], [1, 10, 100]]
    let celsius = [25.0, 65, 105]
    let found = Arrhenius(spreads: [[3, 4, 5], [2, 3, 4], [1, 2, 3]], ages: ages, celsius: celsius)
    #expect(try #require(found).energy == 0)
    let cells = [[3.0, 4, 5], [2, 3, 4], [1, 2, 3]].map { $0.map { Array(repeating: $0, count: 8) } }
    #expect(Arrhenius.estimate(cells, ages: ages, celsius: celsius) == nil)
  }

  /// Cells that lose nearly the same at every temperature: the interval reaches down to 0 eV, where many draws end.
  @Test func drawsAtTheEndStayInTheInterval() throws {
    let ages = [[1.0, 10, 100, 1000], [1, 10, 100, 1000], [1, 10, 100, 1000]]
    let changes = ages.enumerated().map { temperature, ages in
      ages.map { age in
        (0..<40).map { cell in
          (2 + log10(age)) * (0.5 + Double((cell * 7 + temperature * 3) % 11) / 10) * (1 + 0.01 * Double(temperature))
        }
      }
    }
    let found = try #require(Arrhenius.estimate(changes, ages: ages, celsius: [25, 65, 105]))
    #expect(found.low == 0, "\(found)")
  }
}
