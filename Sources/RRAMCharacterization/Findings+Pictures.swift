internal import RRAMRecords

extension Findings.Picture {
  /// A macro as a heat map; `rows` in the unit that the title names.
  static func map(_ title: String, _ rows: [[Double]]) -> Self {
    let columns = rows.first?.count ?? 0
    return .init(
      title: title,
      script: Gnuplot.palette + """

        set key off
        set xlabel 'column'
        set ylabel 'row'
        set size ratio -1
        set xrange [-0.5:\(Double(columns) - 0.5)]
        set yrange [\(Double(rows.count) - 0.5):-0.5]
        plot $map using 1:2:3 with image
        """,
      tables: [
        .init(
          "map",
          rows: rows.enumerated().flatMap { row, values in values.enumerated().map { [Double($0), Double(row), $1] } })
      ], width: 640, height: 560)
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
    // A value that all share has no distribution to draw.
    let shown = sets.filter { set in set.values.contains { $0.isFinite && $0 != set.values.first(where: \.isFinite) } }
    return .init(
      title: title,
      script: """
        \(logarithmic ? "set logscale x" : "unset logscale")
        set key outside right
        set xlabel '\(x)'
        set ylabel 'cumulative share'
        set yrange [invnorm(0.0005):invnorm(0.9995)]
        set ytics (\(marks.map { "'\(text($0 * 100)) %%' invnorm(\($0))" }.joined(separator: ", ")))
        set grid ytics lc rgb '#dddddd'
        plot \(shown.isEmpty ? "NaN notitle" : shown.indices.map { "$set\($0) using 1:(invnorm($2)) with points pt 7 ps 0.3 title '\(shown[$0].title)'" }.joined(separator: ", "))
        """,
      tables: shown.enumerated().map { place, set in
        let points = distribution(set.values)
        // Enough to draw the line; the ends, where few points are, stay.
        let step = max(1, points.count / 2000)
        return .init(
          "set\(place)",
          rows: points.indices.filter { $0 % step == 0 || $0 < 50 || $0 >= points.count - 50 }.map { points[$0] })
      })
  }
}
