/* State of a fixed set of cells after a few steps of time, as bits, one value a line: two machines must print the same. */
#include <stdio.h>
#include <string.h>

#include "cell_ageing.h"
#include "uniform.h"

enum { CELLS = 131, MODES = 5 };

static float normals[CA_NORMALS], decay[CA_DECAY_NODES], walk_table[CA_AGE_NODES], stationary[CA_AGE_NODES];
static float modes[MODES * CELLS], walk[CELLS], walk_variance[CELLS], walk_scale[CELLS], amplitude[CELLS], trap_rate[CELLS];
static double time[CELLS], write_time[CELLS];
static uint32_t draws[CELLS];
static uint8_t formed[CELLS], trap_state[CELLS];

static void print(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  printf("%08x\n", bits);
}

int main(void) {
  static const float rates[MODES] = {1e4f, 1e2f, 1, 1e-2f, 1e-4f};
  static const int64_t list[] = {3, 130, 7, 3, 64};
  for (int i = 0; i < CA_NORMALS; i++) normals[i] = 4 * uniform() - 2;
  for (int i = 0; i < CA_DECAY_NODES; i++) decay[i] = (float)i / (CA_DECAY_NODES - 1);
  for (int i = 0; i < CA_AGE_NODES; i++) {
    walk_table[i] = (float)i / 100;
    stationary[i] = (float)i / 400;
  }
  for (int i = 0; i < CELLS; i++) {
    for (int m = 0; m < MODES; m++) modes[m * CELLS + i] = 4 * uniform() - 2;
    walk_scale[i] = uniform();
    amplitude[i] = uniform();
    trap_rate[i] = i % 3 ? 0 : 10 * uniform();
    formed[i] = i % 11 != 0;
    trap_state[i] = i % 2;
    write_time[i] = (double)uniform();
    time[i] = write_time[i];
  }
  for (int walks = 0; walks < 2; walks++) {
    const ca_law law = {.modes = MODES, .rates = rates, .normals = normals, .decay = decay,
                        .walk = walks ? walk_table : NULL, .stationary = stationary, .mode_purpose = 1, .walk_purpose = 2};
    const ca_cells cells = {.count = CELLS, .seed = 7, .macro = 2, .modes = modes, .walk = walk,
                            .walk_variance = walk_variance, .time = time, .write_time = write_time, .draws = draws,
                            .formed = formed, .walk_scale = walk_scale, .amplitude = amplitude, .trap_rate = trap_rate,
                            .trap_state = trap_state};
    const double start = 1 + 1e6 * walks;
    ca_age(&law, &cells, NULL, 0, CELLS, start + 1e-4);
    ca_age(&law, &cells, list, 0, sizeof list / sizeof *list, start + 0.5);
    ca_age(&law, &cells, NULL, 5, CELLS - 9, start + 3600);
  }
  for (int i = 0; i < MODES * CELLS; i++) print(modes[i]);
  for (int i = 0; i < CELLS; i++) {
    print(walk[i]);
    print(walk_variance[i]);
    printf("%u %u\n", draws[i], trap_state[i]);
  }
  return 0;
}
