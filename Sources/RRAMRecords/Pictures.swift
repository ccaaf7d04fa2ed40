public import Foundation
public import RRAMUnits

/// The pictures that commands put into a run folder.
public enum Pictures {
  /// Point clouds side by side on equal axes, each at most 20 000 points.
  ///
  /// - Parameters:
  ///   - clouds: title and interleaved x, y values, in units of the network.
  ///   - halfWidth: axes go from −halfWidth to +halfWidth.
  public static func pointClouds(
    _ clouds: [(title: String, points: [Float])], halfWidth: Double, to file: URL, format: Gnuplot.Format
  ) throws {
    var script = "set multiplot layout 1,\(clouds.count)\nset size square\nset key off\n"
    script +=
      "set xrange [-\(halfWidth):\(halfWidth)]\nset yrange [-\(halfWidth):\(halfWidth)]\nset xlabel 'x (units)'\nset ylabel 'y (units)'\n"
    var tables: [Gnuplot.Table] = []
    for (index, cloud) in clouds.enumerated() {
      let shown = min(cloud.points.count / 2, 20_000)
      tables.append(
        .init(
          "cloud\(index)", rows: (0..<shown).map { [Double(cloud.points[2 * $0]), Double(cloud.points[2 * $0 + 1])] }))
      script += "set title '\(cloud.title.replacing("'", with: "''"))'\n"
      script += "plot $cloud\(index) using 1:2 with dots lc rgb '#21518c'\n"
    }
    try Gnuplot(width: 420 * clouds.count, height: 460, format: format)
      .draw(script + "unset multiplot", tables: tables, to: file)
  }

  /// Paths in the plane, at most 200 of them, each from a grey start to a dark end.
  ///
  /// - Parameters:
  ///   - paths: shape (n, frames, 2), in units of the network.
  ///   - frames: at least 1.
  public static func paths(_ paths: [Float], frames: Int, to file: URL, format: Gnuplot.Format) throws {
    let count = min(paths.count / (2 * frames), 200)
    func point(_ path: Int, _ frame: Int) -> [Double] {
      let index = 2 * (path * frames + frame)
      return [Double(paths[index]), Double(paths[index + 1])]
    }
    // An empty line ends a path.
    let lines = (0..<count).flatMap { path in (0..<frames).map { point(path, $0) } + [[]] }
    let starts = (0..<count).map { point($0, 0) }
    let ends = (0..<count).map { point($0, frames - 1) }
    var script = "set size square\nset key off\nset xlabel 'x (units)'\nset ylabel 'y (units)'\n"
    script += "plot $paths using 1:2 with lines lw 0.5 lc rgb '#b0c4de', "
    script += "$starts using 1:2 with points pt 7 ps 0.2 lc rgb '#999999', "
    script += "$ends using 1:2 with points pt 7 ps 0.3 lc rgb '#21518c'"
    try Gnuplot(width: 560, height: 560, format: format).draw(
      script, tables: [.init("paths", rows: lines), .init("starts", rows: starts), .init("ends", rows: ends)],
      to: file)
  }

  /// Curves over one axis, each in a panel of its own, four beside each other; x falls from left to right.
  ///
  /// - Parameters:
  ///   - curves: title, x and y values.
  ///   - before: y values of each that are drawn behind them in grey; nil: none.
  ///   - x: label of the common axis.
  public static func curves(
    _ curves: [(title: String, x: [Double], y: [Double])], before: [[Double]]? = nil, x: String, to file: URL,
    format: Gnuplot.Format
  ) throws {
    guard !curves.isEmpty else { return }
    let columns = min(4, curves.count)
    let rows = (curves.count + columns - 1) / columns
    var script = "set multiplot layout \(rows),\(columns)\nset key off\nset xrange [1:0]\nset xlabel '\(x)'\n"
    var tables: [Gnuplot.Table] = []
    for (index, curve) in curves.enumerated() {
      tables.append(.init("curve\(index)", rows: zip(curve.x, curve.y).map { [$0, $1] }))
      script += "set title '\(curve.title.replacing("'", with: "''"))'\n"
      var behind = ""
      if let before {
        tables.append(.init("before\(index)", rows: zip(curve.x, before[index]).map { [$0, $1] }))
        behind = "$before\(index) using 1:2 with steps lw 1.5 lc rgb '#b0b0b0', "
      }
      script += "plot \(behind)$curve\(index) using 1:2 with steps lw 1.5 lc rgb '#21518c'\n"
    }
    try Gnuplot(width: 300 * columns, height: 220 * rows, format: format)
      .draw(script + "unset multiplot", tables: tables, to: file)
  }

  /// Conductances of one block as heat maps: target, measured, and their difference.
  ///
  /// - Parameters:
  ///   - blocks: name and row-major values in siemens; NaN where there is no target or no reading.
  ///   - measured: what the second column of pictures shows.
  public static func conductanceMaps(
    _ blocks: [(title: String, shape: MacroShape, target: [Float], measured: [Float])], measured: String = "measured",
    to file: URL, format: Gnuplot.Format
  ) throws {
    var script = "set multiplot layout \(blocks.count),3\nset key off\nset xlabel 'column'\nset ylabel 'row'\n"
    var tables: [Gnuplot.Table] = []
    for (index, block) in blocks.enumerated() {
      let difference = zip(block.measured, block.target).map { $0 - $1 }
      let panels = [("target", block.target), (measured, block.measured), ("\(measured) − target", difference)]
      for (panel, content) in panels.enumerated() {
        let name = "map\(index)_\(panel)"
        tables.append(
          .init(
            name,
            rows: content.1.enumerated().map { index, value in
              [Double(index % block.shape.columns), Double(index / block.shape.columns), Double(value) * 1e6]
            }))
        script +=
          panel == 2
          ? "set palette defined (-1 '#2166ac', 0 '#f7f7f7', 1 '#b2182b')\n" : Gnuplot.palette + "\n"
        let extent =
          (panel == 2 ? content.1 : block.target + block.measured).filter(\.isFinite).map { abs($0) * 1e6 }.max() ?? 1
        script +=
          panel == 2 ? "set cbrange [-\(max(extent, 1e-3)):\(max(extent, 1e-3))]\n" : "set cbrange [0:\(extent)]\n"
        script += "set title '\(block.title.replacing("'", with: "''")): \(content.0) (µS)'\n"
        script +=
          "set xrange [-0.5:\(Double(block.shape.columns) - 0.5)]\nset yrange [\(Double(block.shape.rows) - 0.5):-0.5]\n"
        script += "set xtics \(max(1, block.shape.columns / 6))\nset ytics \(max(1, block.shape.rows / 6))\n"
        script += "plot $\(name) using 1:2:3 with image\n"
      }
    }
    try Gnuplot(width: 1260, height: 300 * blocks.count, format: format)
      .draw(script + "unset multiplot", tables: tables, to: file)
  }

  /// Lifetime pulses of a macro's cells as heat maps, forming beside them, bad cells ringed.
  ///
  /// - Parameters:
  ///   - pulses: row-major, SET and RESET together.
  ///   - forming: the same, or empty.
  public static func wearMap(
    shape: MacroShape, pulses: [UInt32], forming: [UInt32], bad: [CellAddress], to file: URL, format: Gnuplot.Format
  ) throws {
    func rows(_ values: [UInt32]) -> [[Double]] {
      values.enumerated().map { [Double($0 % shape.columns), Double($0 / shape.columns), Double($1)] }
    }
    let panels = [("SET and RESET pulses", pulses), ("forming pulses", forming)].filter { $0.1.contains { $0 > 0 } }
    guard !panels.isEmpty else {
      throw RecordsError(.notFound, path: file.path, reason: "no cell has got a pulse: nothing to draw")
    }
    var script =
      Gnuplot.palette + "\nset multiplot layout 1,\(panels.count)\nset key off\nset xlabel 'column'\nset ylabel 'row'\n"
    script +=
      "set size ratio -1\nset xrange [-0.5:\(Double(shape.columns) - 0.5)]\nset yrange [\(Double(shape.rows) - 0.5):-0.5]\n"
    for (index, panel) in panels.enumerated() {
      script +=
        "set title '\(panel.0)'\nset cbrange [0:\(max(1, panel.1.max() ?? 1))]\nplot $map\(index) using 1:2:3 with image"
      script += bad.isEmpty ? "\n" : ", $bad using 1:2 with points pt 6 ps 0.8 lc rgb '#d7191c'\n"
    }
    var tables = panels.enumerated().map { Gnuplot.Table("map\($0)", rows: rows($1.1)) }
    if !bad.isEmpty { tables.append(.init("bad", rows: bad.map { [Double($0.column), Double($0.row)] })) }
    try Gnuplot(width: 560 * panels.count, height: 540, format: format)
      .draw(script + "unset multiplot", tables: tables, to: file)
  }

  /// Grey images in a grid, dark on light.
  ///
  /// - Parameters:
  ///   - rows: title and images of each row, every image `side`×`side` values in 0…1, row-major, first line on top.
  public static func imageGrid(
    _ rows: [(title: String, images: [[Float]])], side: Int, to file: URL, format: Gnuplot.Format
  ) throws {
    let perRow = rows.map(\.images.count).max() ?? 0
    guard perRow > 0 else { return }
    let pitch = side + 1
    var pixels: [[Double]] = []
    for line in 0..<rows.count * pitch {
      for column in 0..<perRow * pitch {
        let (row, y, image, x) = (line / pitch, line % pitch, column / pitch, column % pitch)
        var value = 0.0
        if y < side, x < side, image < rows[row].images.count { value = Double(rows[row].images[image][y * side + x]) }
        pixels.append([Double(column), Double(line), value])
      }
    }
    var script =
      "set key off\nset palette gray negative\nset cbrange [0:1]\nunset colorbox\nset size ratio -1\nunset xtics\n"
    let labels = rows.enumerated().map { "'\($1.title.replacing("'", with: "''"))' \($0 * pitch + side / 2)" }
    script += "set ytics (\(labels.joined(separator: ", "))) scale 0\n"
    script +=
      "set xrange [-0.5:\(Double(perRow * pitch) - 0.5)]\nset yrange [\(Double(rows.count * pitch) - 0.5):-0.5]\n"
    script += "plot $pixels using 1:2:3 with image"
    let scale = max(3, min(6, 1200 / (perRow * pitch)))
    try Gnuplot(width: perRow * pitch * scale + 160, height: rows.count * pitch * scale + 60, format: format)
      .draw(script, tables: [.init("pixels", rows: pixels)], to: file)
  }
}
