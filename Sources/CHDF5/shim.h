#include <hdf5.h>

// The types and flags of HDF5 are macros that open the library and then name a variable: Swift sees neither.
static inline hid_t rram_h5_float32(void) { return H5T_IEEE_F32LE; }
static inline hid_t rram_h5_float64(void) { return H5T_IEEE_F64LE; }
static inline hid_t rram_h5_int64(void) { return H5T_STD_I64LE; }
static inline hid_t rram_h5_uint32(void) { return H5T_STD_U32LE; }
static inline hid_t rram_h5_c_string(void) { return H5T_C_S1; }
static inline hid_t rram_h5_dataset_creation(void) { return H5P_DATASET_CREATE; }
static inline hid_t rram_h5_file_access(void) { return H5P_FILE_ACCESS; }
static inline unsigned rram_h5_truncate(void) { return H5F_ACC_TRUNC; }
static inline hsize_t rram_h5_unlimited(void) { return H5S_UNLIMITED; }
