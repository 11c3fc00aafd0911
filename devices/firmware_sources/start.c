/* Start-up and faults of a Cortex-M program: memory made ready, the program on its own stack, faults told in a file.
 *
 * The program runs on the process stack, which lies at the bottom of the RAM. One that grows too far faults instead of
 * overwriting data: on ARMv8-M it passes PSPLIM, before that the memory protection forbids the 16 MiB below the RAM.
 * The flash is read-only. Handlers have a stack of their own, so the fault can still be told. */
#include <stddef.h>
#include <stdint.h>

#include "semihosting.h"

extern uint32_t __data_load__[], __data_start__[], __data_end__[], __bss_start__[], __bss_end__[];
extern uint32_t __stack_limit__[], __stack_top__[], __handler_stack_top__[];
extern uint32_t __flash_start__[], __flash_end__[];
extern void (*const __init_array_start__[])(void), (*const __init_array_end__[])(void);

int edgepress_main(void);
void edgepress_reset(void);
void edgepress_trap(void);
_Noreturn void edgepress_fault(const uint32_t *frame);

enum { EXIT_FAULT = 70 };

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SHCSR REGISTER(0xE000ED24u)
#define CFSR REGISTER(0xE000ED28u)
#define HFSR REGISTER(0xE000ED2Cu)
#define MMFAR REGISTER(0xE000ED34u)
#define BFAR REGISTER(0xE000ED38u)
#define CPACR REGISTER(0xE000ED88u)

#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u) /* Armv7-M */
#define MPU_RLAR REGISTER(0xE000EDA0u) /* Armv8-M */
#define ADDRESS(symbol) ((uint32_t)(uintptr_t)(symbol))

typedef void (*Vector)(void);

__attribute__((section(".vectors"), used)) const Vector edgepress_vectors[16] = {
    (Vector)(void *)__handler_stack_top__, edgepress_reset, edgepress_trap, edgepress_trap,
    edgepress_trap, edgepress_trap, edgepress_trap, edgepress_trap,
    edgepress_trap, edgepress_trap, edgepress_trap, edgepress_trap,
    edgepress_trap, edgepress_trap, edgepress_trap, edgepress_trap,
};

static _Noreturn __attribute__((used)) void begin(void)
{
    for (size_t i = 0; &__init_array_start__[i] < __init_array_end__; i++) __init_array_start__[i]();
    semihosting_exit((uint32_t)edgepress_main());
}

#define MPU_ON (1u << 2 | 1u) /* what no region covers stays as it is without */

/* The stack cannot leave the RAM, and the flash cannot be written, as on a device. */
static void protect(void)
{
#if __ARM_ARCH >= 8
    __asm__ volatile("msr psplim, %0" ::"r"(__stack_limit__));
    MPU_RNR = 0;
    MPU_RBAR = (ADDRESS(__flash_start__) & ~31u) | 2u << 1; /* read only */
    MPU_RLAR = ((ADDRESS(__flash_end__) - 1) & ~31u) | 1u;
#else
    MPU_RNR = 0;
    MPU_RBAR = ADDRESS(__stack_limit__) - (1u << 24);
    MPU_RASR = 1u << 28 | 23u << 1 | 1u; /* never execute, no access, 2^(23 + 1) bytes, on */
    MPU_RNR = 1;
    MPU_RBAR = ADDRESS(edgepress_vectors);
    MPU_RASR = 6u << 24 | 21u << 1 | 1u; /* read only, 2^(21 + 1) bytes, on */
#endif
    MPU_CTRL = MPU_ON;
}

void edgepress_reset(void)
{
    CPACR |= 0xFu << 20;    /* floating point and MVE, before the first such instruction */
    SHCSR |= 0x7u << 16;    /* memory, bus and usage faults as themselves */
    __asm__ volatile("dsb\n isb" ::: "memory");
    for (size_t i = 0; &__data_start__[i] < __data_end__; i++) __data_start__[i] = __data_load__[i];
    for (size_t i = 0; &__bss_start__[i] < __bss_end__; i++) __bss_start__[i] = 0;
    protect();
    __asm__ volatile("msr psp, %0\n"
                     "mrs r0, control\n"
                     "orr r0, r0, #2\n"
                     "msr control, r0\n"
                     "isb\n"
                     "b begin\n" ::"r"(__stack_top__) : "r0", "memory");
    __builtin_unreachable();
}

/* Any exception: the frame that the core stacked, on the stack that it was on. */
__attribute__((naked)) void edgepress_trap(void)
{
    __asm__ volatile("tst lr, #4\n"
                     "ite eq\n"
                     "mrseq r0, msp\n"
                     "mrsne r0, psp\n"
                     "b edgepress_fault\n");
}

/* The record that `firmware_faults.py` reads. */
_Noreturn __attribute__((used)) void edgepress_fault(const uint32_t *frame)
{
    uint32_t number, readable = frame >= __stack_limit__ && frame + 8 <= __stack_top__;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    const uint32_t record[] = {
        0x46504445u /* "EDPF" */, number, readable, readable ? frame[6] : 0, readable ? frame[5] : 0,
        CFSR, HFSR, MMFAR, BFAR, (uint32_t)(uintptr_t)frame, (uint32_t)(uintptr_t)__stack_limit__,
    };
    int32_t handle = semihosting_open("fault.bin", OPEN_WRITE_BINARY);
    if (handle >= 0) semihosting_write(handle, record, sizeof record);
    semihosting_exit(EXIT_FAULT);
}
