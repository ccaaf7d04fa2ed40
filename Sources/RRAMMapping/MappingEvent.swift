public import RRAMUnits
public import RRAMWire

/// What forming, programming and verifying report on the way.
///
/// Order: forming `forming…`, `screening…`; programming `checking`, `retiring…`, for each layer `writing…`, `retrying…`, then `labelled`,
/// and for each age `waiting`,
/// `followed`.
public enum MappingEvent: Sendable {
  /// Cells of a block are being formed; block `index` of `count`.
  case forming(CellBlock, index: Int, count: Int, OperationProgress)
  /// Cells are read before the first pulse.
  case checking(cells: Int)
  /// Formed cells have been read so many times to find the noisy ones.
  case screening(done: Int, of: Int)
  /// Formed cells that the plan does not use have been read; so many were reset once more.
  case retiring(left: Int, of: Int)
  /// A layer is being written.
  case writing(layer: Int, count: Int, OperationProgress)
  /// Cells that have drifted off are written again.
  case retrying(epoch: Int, of: Int)
  /// All macros carry the label, 32 hexadecimal digits.
  case labelled(String)
  /// Chip time passes until every cell has this age.
  case waiting(FollowUp)
  /// All cells were read at this age.
  case followed(FollowUp, ErrorStatistics)
}
