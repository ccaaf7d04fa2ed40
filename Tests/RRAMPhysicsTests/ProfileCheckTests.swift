import Foundation
import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

/// Statistics of emulated cells against published tables; every figure carries its own sample size and bound.
@Suite struct ProfileCheckTests {
  private struct Data: Decodable {
    struct Bin: Decodable {
      var range: [Double]
      var n: Int
      var times: [Double]
      var mean: [Double]
      var covariance: [[Double]]
      var quantiles: [String: [Double]]

      enum CodingKeys: String, CodingKey {
        case range = "range_uS"
        case times = "times_s"
        case n, mean, covariance, quantiles
      }
    }
    var bins: [Bin]
  }

  /// The numbers compared with are those of the open data set's statistics, kept beside this test.
  @Test func publishedRelaxationIsThatOfTheDataSet() throws {
    let file = try #require(
      Bundle.module.url(forResource: "relaxation-hfox-analog", withExtension: "json", subdirectory: "Resources"))
    let data = try JSONDecoder().decode(Data.self, from: try Foundation.Data(contentsOf: file))
    #expect(data.bins.count == PublishedRelaxation.bins.count)
    for (bin, published) in zip(data.bins, PublishedRelaxation.bins) {
      #expect(bin.range == [published.range.lowerBound, published.range.upperBound])
      #expect(bin.n == published.cells)
      #expect(bin.times == PublishedRelaxation.times)
      #expect(bin.mean == published.mean)
      #expect(bin.covariance.flatMap { $0 } == published.covariance)
      let levels = ["0.5", "2.5", "15.87", "50", "84.13", "97.5", "99.5"]
      #expect(levels.flatMap { bin.quantiles[$0] ?? [] } == published.quantiles)
    }
  }

  /// Seed 2, n = 2 048 cells a statistic (in the rows): what the profile was fitted to comes out within its bounds, and so
  /// does everything that follows from it but what is named here: what pulse counts of worn chips were not fitted to.
  @Test(arguments: ["ideal", "cmo-hfox", "hfox-analog", "hfox-mlc"])
  func figuresStayWithinTheirBounds(name: String) throws {
    let check = try ProfileCheck(try ChipProfile.named(name), cells: 2048, seed: 2)
    #expect(!check.rows.isEmpty)
    for row in check.rows where row.isFitted || !row.quantity.contains("8 000 cycles") {
      #expect(
        row.isWithinBound,
        "\(row.section), \(row.quantity): \(row.model) \(row.unit), published \(row.published) ± \(row.bound ?? .nan), n = \(row.sampleSize)"
      )
    }
    #expect(check.rows.allSatisfy { $0.model.isFinite && !$0.source.isEmpty })
  }

  /// The tables belong to profiles by name; a profile of one's own is still checked for what it says of itself.
  @Test func aProfileOfOnesOwnIsCheckedForItsForming() throws {
    var profile = try ChipProfile.named("cmo-hfox")
    profile.name = "mine"
    let check = try ProfileCheck(profile, cells: 1024, seed: 1)
    #expect(Set(check.rows.map(\.section)) == ["forming"])
    // A figure that is off is said to be off.
    var row = try #require(check.rows.first)
    row.model = row.published + 2 * (row.bound ?? 0)
    #expect(!row.isWithinBound)
  }

  @Test func theSameSeedGivesTheSameFigures() throws {
    let profile = try ChipProfile.named("hfox-analog")
    let first = try ProfileCheck(profile, cells: 1024, seed: 5)
    #expect(try ProfileCheck(profile, cells: 1024, seed: 5).rows == first.rows)
    #expect(try ProfileCheck(profile, cells: 1024, seed: 6).rows != first.rows)
  }
}
