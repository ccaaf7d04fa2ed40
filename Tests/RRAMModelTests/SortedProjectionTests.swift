import RRAMUnits
import Testing

@testable import RRAMModel

@Suite struct SortedProjectionTests {
  /// Radix, insertion and comparison sorting, by spread and count of the values.
  @Test(arguments: [
    (100, 1.0, 0.0), (5000, 1.0, 0.0), (5000, 1e-9, 1.0), (5000, 1e-15, 0.7), (5000, 1e300, 0.0), (5000, 0.0, -2.0),
  ])
  func equalsAComparisonSort(n: Int, spread: Double, centre: Double) {
    var stream = PhiloxStream(seed: 1, stream: (1, 2, 3))
    let points = (0..<2 * n).map { _ in centre + spread * stream.normal() }
    let found = SortedProjection(points, 1, 0).keys.map(SortedProjection.value)
    let expected: [Double] = (0..<n).map { points[2 * $0] }.sorted()
    #expect(found == expected)
  }

  @Test func keysOrderLikeNumbers() {
    let values = [
      -Double.greatestFiniteMagnitude, -1, -1e-300, 0, .leastNonzeroMagnitude, 1, 1.0000000000000002, 1e300,
    ]
    let keys = values.map(SortedProjection.key)
    #expect(keys == keys.sorted() && Set(keys).count == keys.count)
    #expect(keys.map(SortedProjection.value) == values)
    #expect(SortedProjection.key(-0.0) == SortedProjection.key(0))
  }
}
