#include "analog_kernel.h"
