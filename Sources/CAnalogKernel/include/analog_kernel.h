#ifndef ANALOG_KERNEL_H
#define ANALOG_KERNEL_H
#endif
