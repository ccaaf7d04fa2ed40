import CHDF5
import Foundation

/// An HDF5 file that is being written, by libhdf5's C interface.
///
/// Every act of the library that fails is thrown with the object that it was about; libhdf5 itself prints nothing.
struct HDF5File: ~Copyable {
  private let path: String
  private let id: hid_t

  /// A column of a table: its name, and the four bytes of its type.
  enum Column {
    case float32(String)
    case uint32(String)
  }

  /// Makes the file, over what is there.
  init(creating path: String) throws(HDF5Error) {
    // H5Eset_auto2: "The auto error reporting functions are turned off" by a NULL function.
    H5Eset_auto2(0, nil, nil)
    self.path = path
    // Attributes over 64 KiB, as lists of all cells are, need the format of HDF5 1.8.
    let access = H5Pcreate(rram_h5_file_access())
    defer { H5Pclose(access) }
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110)
    id = H5Fcreate(path, rram_h5_truncate(), 0, access)
    guard id >= 0 else { throw HDF5Error(file: path, object: "", act: "be made") }
  }

  deinit { H5Fclose(id) }

  /// Writes out what the library still holds.
  borrowing func flush() throws(HDF5Error) { try check(H5Fflush(id, H5F_SCOPE_GLOBAL), "", "be written") }

  /// - Parameter name: with all groups above it, which must be there.
  borrowing func makeGroup(_ name: String) throws(HDF5Error) {
    let group = H5Gcreate2(id, name, 0, 0, 0)
    try check(group, name, "be made")
    H5Gclose(group)
  }

  // MARK: Arrays

  /// Writes an array in row-major order; `shape` must hold exactly the values.
  borrowing func write(_ values: [Float], shape: [Int], as name: String) throws(HDF5Error) {
    try write(values, rram_h5_float32(), shape: shape, as: name)
  }

  borrowing func write(_ values: [Double], shape: [Int], as name: String) throws(HDF5Error) {
    try write(values, rram_h5_float64(), shape: shape, as: name)
  }

  borrowing func write(_ values: [Int64], shape: [Int], as name: String) throws(HDF5Error) {
    try write(values, rram_h5_int64(), shape: shape, as: name)
  }

  private borrowing func write<T: BitwiseCopyable>(
    _ values: [T], _ type: hid_t, shape: [Int], as name: String
  ) throws(HDF5Error) {
    precondition(shape.reduce(1, *) == values.count, "\(name): \(values.count) values for shape \(shape)")
    let space =
      shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil)
    defer { H5Sclose(space) }
    let dataset = H5Dcreate2(id, name, type, space, 0, 0, 0)
    try check(dataset, name, "be made")
    defer { H5Dclose(dataset) }
    try check(values.withUnsafeBytes { H5Dwrite(dataset, type, 0, 0, 0, $0.baseAddress) }, name, "be written")
  }

  /// Writes a table that can be appended to: `rows` holds the columns' four-byte little-endian values, row after row.
  borrowing func write(table columns: [Column], rows: [UInt8], as name: String) throws(HDF5Error) {
    let width = 4 * columns.count
    let type = H5Tcreate(H5T_COMPOUND, width)
    defer { H5Tclose(type) }
    for (place, column) in columns.enumerated() {
      let (title, kind) =
        switch column {
        case .float32(let title): (title, rram_h5_float32())
        case .uint32(let title): (title, rram_h5_uint32())
        }
      try check(H5Tinsert(type, title, 4 * place, kind), name, "get the column \(title)")
    }
    let count = hsize_t(rows.count / width)
    let space = H5Screate_simple(1, [count], [rram_h5_unlimited()])
    defer { H5Sclose(space) }
    let creation = H5Pcreate(rram_h5_dataset_creation())
    defer { H5Pclose(creation) }
    // Only chunked data sets can grow.
    try check(H5Pset_chunk(creation, 1, [min(max(count, 16), 4096)]), name, "be chunked")
    let dataset = H5Dcreate2(id, name, type, space, 0, creation, 0)
    try check(dataset, name, "be made")
    defer { H5Dclose(dataset) }
    guard count > 0 else { return }
    try check(rows.withUnsafeBytes { H5Dwrite(dataset, type, 0, 0, 0, $0.baseAddress) }, name, "be written")
  }

  // MARK: Attributes

  borrowing func attribute(_ name: String, of object: String, _ value: Int) throws(HDF5Error) {
    let space = H5Screate(H5S_SCALAR)
    try attribute(name, of: object, rram_h5_int64(), space, [Int64(value)])
  }

  /// Rows of two whole numbers.
  borrowing func attribute(_ name: String, of object: String, _ pairs: [(Int, Int)]) throws(HDF5Error) {
    let space = H5Screate_simple(2, [hsize_t(pairs.count), 2], nil)
    try attribute(name, of: object, rram_h5_int64(), space, pairs.flatMap { [Int64($0.0), Int64($0.1)] })
  }

  borrowing func attribute(_ name: String, of object: String, _ text: String) throws(HDF5Error) {
    let type = H5Tcopy(rram_h5_c_string())
    defer { H5Tclose(type) }
    try check(H5Tset_size(type, max(1, text.utf8.count)), object, "get the attribute \(name)")
    try check(H5Tset_cset(type, H5T_CSET_UTF8), object, "get the attribute \(name)")
    try attribute(name, of: object, type, H5Screate(H5S_SCALAR), Array(text.utf8) + [0])
  }

  /// Closes `space`.
  private borrowing func attribute<T: BitwiseCopyable>(
    _ name: String, of object: String, _ type: hid_t, _ space: hid_t, _ values: [T]
  ) throws(HDF5Error) {
    defer { H5Sclose(space) }
    let attribute = H5Acreate_by_name(id, object, name, type, space, 0, 0, 0)
    try check(attribute, object, "get the attribute \(name)")
    defer { H5Aclose(attribute) }
    try check(values.withUnsafeBytes { H5Awrite(attribute, type, $0.baseAddress) }, object, "get the attribute \(name)")
  }

  /// Ids and statuses of libhdf5 are negative where something failed.
  private borrowing func check(_ status: some SignedInteger, _ object: String, _ act: String) throws(HDF5Error) {
    if status < 0 { throw HDF5Error(file: path, object: object, act: act) }
  }
}

/// What libhdf5 could not do.
struct HDF5Error: Error, CustomStringConvertible {
  var file: String
  /// Within the file; empty for the file itself.
  var object: String
  /// Completes "cannot …".
  var act: String

  var description: String { "\(file): \(object.isEmpty ? "the HDF5 file" : object) cannot \(act)" }
}
