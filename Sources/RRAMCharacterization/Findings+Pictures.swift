internal import RRAMRecords

extension Findings.Picture {
  /// A series of a plot.
  struct Curve: Sendable {
    /// What the key calls it; empty: not in the key.
    var title = ""
    var rows: [[Double]]
    var using = "1:2"
    /// What gnuplot has behind `with`.
    var style: String
    var colour: String
    /// Left out where two pictures are drawn over each other.
    var isBackground = false
  }

  /// Blue and red first, as the two states of a cell have them; then what can be told from each other on white.
  static let colours = ["#21518c", "#b2182b", "#1b7837", "#e08030", "#762a83", "#0097a7", "#8c510a", "#555555"]

  /// A line that guides the eye, behind everything.
  static let pale = "#b0c4de"

  static func colour(_ place: Int) -> String { colours[place % colours.count] }

  /// Series over common axes.
  ///
  /// - Parameter axes: gnuplot's settings, the key's excepted.
  static func plot(
    _ title: String, axes: String, _ curves: [Curve], key: String = "off", width: Int = 720, height: Int = 400
  ) -> Self {
    // A value that all share, or none, has nothing to draw.
    let shown = curves.filter { $0.rows.contains { $0.count > 1 && $0.allSatisfy(\.isFinite) } }
    let series = shown.enumerated().map { place, curve in
      "$curve\(place) using \(curve.using) with \(curve.style) lc rgb '\(curve.colour)' "
        + (curve.title.isEmpty ? "notitle" : "title '\(curve.title.replacing("'", with: "''"))'")
    }
    let script =
      axes + "\nset key \(key)\n"
      + (shown.isEmpty
        ? "set xrange [1:10]\nset yrange [1:10]\nplot NaN notitle" : "plot " + series.joined(separator: ", "))
    return .init(
      title: title, script: script, tables: shown.enumerated().map { .init("curve\($0)", rows: $1.rows) },
      axes: axes, curves: shown, width: width, height: height)
  }

  /// The same axes with the series of both; nil where one has none to be drawn over others.
  ///
  /// A series alone is blue in the first and orange in the second; of several each keeps its colour, drawn through in the first, dashed
  /// or open in the second.
  func overlaid(with other: Self) -> Self? {
    let pair = [self, other].map { $0.curves.filter { !$0.isBackground } }
    guard pair.allSatisfy({ !$0.isEmpty }), axes == other.axes else { return nil }
    let isSingle = pair.allSatisfy { $0.count == 1 }
    var titles: [String] = []
    for curve in pair.joined() where !titles.contains(curve.title) { titles.append(curve.title) }
    let both = pair.enumerated().flatMap { side, curves in
      curves.map { curve in
        var curve = curve
        if isSingle {
          curve.colour = side == 0 ? Self.colours[0] : Self.colours[3]
        } else {
          curve.colour = Self.colour(titles.firstIndex(of: curve.title) ?? 0)
          if curve.style.hasPrefix("points") {
            // Open ones are seen only if they are large enough to be open.
            curve.style = side == 0 ? "points pt 7 ps 0.35" : "points pt 6 ps 0.6"
          } else if side == 1 {
            curve.style = curve.style.replacing("pt 7", with: "pt 6") + " dt 2"
          }
        }
        curve.title = (side == 0 ? "A" : "B") + (curve.title.isEmpty ? "" : ": \(curve.title)")
        return curve
      }
    }
    return .plot(title, axes: axes, both, key: "outside right", width: 900, height: height)
  }

  /// Both as they are; maps with one scale of colours.
  func alike(_ other: Self) -> (Self, Self) {
    guard let map, let otherMap = other.map else { return (self, other) }
    let values = (map + otherMap).flatMap { $0 }.filter(\.isFinite)
    guard let low = values.min(), let high = values.max(), low < high else { return (self, other) }
    return (.map(title, map, range: low...high), .map(title, otherMap, range: low...high))
  }

  /// The difference of two maps of one shape, from blue through white to red; nil for anything else.
  func change(to other: Self) -> Self? {
    guard let map, let later = other.map, map.map(\.count) == later.map(\.count) else { return nil }
    let change = zip(map, later).map { zip($0, $1).map { $1 - $0 } }
    let largest = change.flatMap { $0 }.filter(\.isFinite).map { abs($0) }.max() ?? 0
    return .map(
      title, change, range: -max(largest, 1e-6)...max(largest, 1e-6),
      palette: "set palette defined (-1 '#2166ac', 0 '#f7f7f7', 1 '#b2182b')")
  }

  /// A macro as a heat map; `rows` in the unit that the title names.
  static func map(
    _ title: String, _ rows: [[Double]], range: ClosedRange<Double>? = nil, palette: String = Gnuplot.palette
  ) -> Self {
    let columns = rows.first?.count ?? 0
    // gnuplot draws no image of a single row or column, and no colours over values that are all the same.
    let values = rows.flatMap { $0 }.filter(\.isFinite)
    let middle = values.first ?? 0
    let range = range ?? (values.allSatisfy { $0 == middle } ? middle - 1...middle + 1 : nil)
    var picture = Self(
      title: title,
      script: palette + """

        set key off
        set xlabel 'column'
        set ylabel 'row'
        set size ratio -1
        set xrange [-0.5:\(Double(columns) - 0.5)]
        set yrange [\(Double(rows.count) - 0.5):-0.5]
        \(range.map { "set cbrange [\($0.lowerBound):\($0.upperBound)]" } ?? "")
        plot $map using 1:2:3 with \(min(rows.count, columns) > 1 ? "image" : "points pt 5 ps 2 palette")
        """,
      tables: [
        .init(
          "map",
          rows: rows.enumerated().flatMap { row, values in values.enumerated().map { [Double($0), Double(row), $1] } })
      ], width: 640, height: 560)
    picture.map = rows
    return picture
  }

  static func histogram(_ title: String, _ values: [Double], width: Double, x: String) -> Self {
    // Values stand in the middle of a step: bins go from step to step.
    let counts = Dictionary(grouping: values.filter(\.isFinite)) { ($0 / width).rounded(.down) + 0.5 }
    return .init(
      title: title,
      script: """
        set key off
        set xlabel '\(x)'
        set ylabel 'cells'
        set yrange [0:*]
        set boxwidth \(width * 0.9)
        set style fill solid 0.8 noborder
        plot $counts with boxes lc rgb '#21518c'
        """,
      tables: [.init("counts", rows: counts.keys.sorted().map { [$0 * width, Double(counts[$0]?.count ?? 0)] })])
  }

  /// Empirical distributions on a probit axis, where normal ones are straight (log-normal ones if `logarithmic`).
  static func distributions(
    _ title: String, _ sets: [(title: String, values: [Double])], x: String, logarithmic: Bool = false
  ) -> Self {
    let marks = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]
    let curves = sets.enumerated().compactMap { place, set -> Curve? in
      let points = distribution(set.values)
      guard let first = points.first, let last = points.last, first[0] < last[0] else { return nil }
      // Enough to draw the line; the ends, where few points are, stay.
      let step = max(1, points.count / 2000)
      return Curve(
        title: set.title,
        rows: points.indices.filter { $0 % step == 0 || $0 < 50 || $0 >= points.count - 50 }.map { points[$0] },
        using: "1:(invnorm($2))", style: "points pt 7 ps 0.3", colour: colour(place))
    }
    return .plot(
      title,
      axes: """
        \(logarithmic ? "set logscale x" : "unset logscale")
        set xlabel '\(x)'
        set ylabel 'cumulative share'
        set yrange [invnorm(0.0005):invnorm(0.9995)]
        set ytics (\(marks.map { "'\(text($0 * 100)) %%' invnorm(\($0))" }.joined(separator: ", ")))
        set grid ytics lc rgb '#dddddd'
        """, curves, key: "outside right")
  }
}
