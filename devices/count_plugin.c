/* Counts executed instructions: a TCG plugin for qemu-aarch64 (by class) and qemu-system-arm (all together).
 *
 * Each block is classified once, when it is translated; executing it adds the block's counts by inline
 * operations, so nothing is called per instruction. A Linux guest marks a place by closing a descriptor number
 * that cannot exist: close(0x7E000000 + id). At every mark and at exit one JSON line with the counters
 * so far goes to the file of the argument `out=`.
 *
 * Bare metal has no system calls: there each argument `mark=ADDRESS` names an instruction, and the line of its n-th
 * mark says how many were executed before it. Exact: of the block that the instruction lies in, which was counted
 * when it was entered, what comes from the instruction on is taken off again. After MARKS_MOST lines one with mark -2
 * says that there were more.
 *
 * EDGEPRESS_PLUGIN_API says which plugin interface it is compiled for:
 *   1  QEMU up to 8.2: one counter for all CPUs; insn_data gives a pointer
 *   2  QEMU 9.0: counters per CPU in a scoreboard
 *   3  QEMU 9.1 and newer: insn_data copies into a buffer
 * QEMU loads a plugin of an older interface without complaint even where it changed, so the version it
 * tells is checked here as well. The prototypes are declared here: Debian ships no header.
 *
 * With EDGEPRESS_CLASSIFIER_ONLY only the classifier is compiled, as a filter: words in hexadecimal on
 * stdin, class names on stdout.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOTAL, LOAD, STORE, BRANCH, INTEGER, SIMD_FP, FMLA, SMLAL, DOT, CNT, MMLA, CLASSES };

static const char *const class_names[CLASSES] = {
    "total", "load", "store", "branch", "integer", "simd_fp", "fmla", "smlal", "dot", "cnt", "mmla",
};

typedef struct { uint32_t mask, value; unsigned class; } Pattern;

/* Kernels worth telling apart, within the SIMD and floating-point space (Arm ARM, C4.1.96). */
static const Pattern patterns[] = {
    {0xBFA0FC00u, 0x0E20CC00u, FMLA},  /* fmla: vector, single and double */
    {0xBFE0FC00u, 0x0E400C00u, FMLA},  /* fmla: vector, half */
    {0xBF80F400u, 0x0F801000u, FMLA},  /* fmla by element, single and double */
    {0xBFC0F400u, 0x0F001000u, FMLA},  /* fmla by element, half */
    {0xFF208000u, 0x1F000000u, FMLA},  /* scalar fmadd */
    {0x9FE0FC00u, 0x0E809400u, DOT},   /* sdot, udot: vector */
    {0x9FC0F400u, 0x0F80E000u, DOT},   /* sdot, udot by element */
    {0x9F20FC00u, 0x0E208000u, SMLAL}, /* smlal, umlal */
    {0x9F00F400u, 0x0F002000u, SMLAL}, /* smlal, umlal by element */
    {0x9F20FC00u, 0x0E20C000u, SMLAL}, /* smull, umull */
    {0x9F00F400u, 0x0F00A000u, SMLAL}, /* smull, umull by element */
    {0xBFFFFC00u, 0x0E205800u, CNT},   /* cnt: bytes' bits set */
    {0xDFE0F400u, 0x4E80A400u, MMLA},  /* smmla, ummla, usmmla */
};

static int is_store(uint32_t word)
{
    unsigned opc = (word >> 22) & 3, vector = (word >> 26) & 1;
    if ((word & 0x3B000000u) == 0x18000000u) return 0; /* literal loads */
    if ((word & 0x3A000000u) == 0x38000000u || (word & 0x3B000000u) == 0x19000000u)
        return opc == 0 || (vector && !(opc & 1)); /* one register, also with release */
    return !(opc & 1); /* pairs, exclusives, structures: bit 22 is L */
}

static unsigned classify(uint32_t word)
{
    unsigned op0 = (word >> 25) & 15;
    if ((op0 & 5) == 4) return is_store(word) ? STORE : LOAD;
    if ((op0 & 14) == 10) return BRANCH;
    if ((op0 & 7) != 7) return INTEGER;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if ((word & patterns[i].mask) == patterns[i].value) return patterns[i].class;
    return SIMD_FP;
}

#ifdef EDGEPRESS_CLASSIFIER_ONLY

int main(void)
{
    uint32_t word;
    while (scanf("%" SCNx32, &word) == 1) puts(class_names[classify(word)]);
    return 0;
}

#else

#define EXPORT __attribute__((visibility("default")))
#define MARK_FIRST UINT64_C(0x7E000000)
#define MARK_LAST UINT64_C(0x7EFFFFFF)
#define SYSCALL_CLOSE 57
#define ADD_U64 0

typedef uint64_t Id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef struct {
    const char *target_name;
    struct { int min, cur; } version;
} Info; /* what is read of qemu_info_t */

extern void qemu_plugin_register_vcpu_tb_trans_cb(Id, void (*)(Id, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern void qemu_plugin_register_vcpu_syscall_cb(
    Id, void (*)(Id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                 uint64_t, uint64_t));
extern void qemu_plugin_register_atexit_cb(Id, void (*)(Id, void *), void *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int,
                                                   void *);

EXPORT int qemu_plugin_version = EDGEPRESS_PLUGIN_API;

static FILE *out;
static int by_class; /* 0: a target whose instructions are not told apart */

enum { MARKS = 1000, MARKS_MOST = 1000000, NO_REGISTERS = 0 };
static uint64_t marks[MARKS];
static unsigned marks_given, marks_passed;

#if EDGEPRESS_PLUGIN_API == 1

extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
static uint64_t counters[CLASSES];

static int counters_make(void) { return 1; }
static uint64_t counter_value(unsigned class) { return counters[class]; }
static void counter_add(struct qemu_plugin_tb *block, unsigned class, uint64_t count)
{
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counters[class], count);
}

#else

struct qemu_plugin_scoreboard;
typedef struct { struct qemu_plugin_scoreboard *score; size_t offset; } Entry;

extern struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
extern uint64_t qemu_plugin_u64_sum(Entry);
extern void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *, int, Entry,
                                                              uint64_t);
static struct qemu_plugin_scoreboard *scoreboard;

static Entry entry(unsigned class)
{
    Entry made = {scoreboard, class * sizeof(uint64_t)};
    return made;
}
static int counters_make(void)
{
    scoreboard = qemu_plugin_scoreboard_new(CLASSES * sizeof(uint64_t));
    return scoreboard != NULL;
}
static uint64_t counter_value(unsigned class) { return qemu_plugin_u64_sum(entry(class)); }
static void counter_add(struct qemu_plugin_tb *block, unsigned class, uint64_t count)
{
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD_U64, entry(class), count);
}

#endif

#if EDGEPRESS_PLUGIN_API >= 3

extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
static uint32_t word_of(const struct qemu_plugin_insn *instruction)
{
    uint32_t word = 0;
    qemu_plugin_insn_data(instruction, &word, sizeof word);
    return word;
}

#else

extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
static uint32_t word_of(const struct qemu_plugin_insn *instruction)
{
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    return word;
}

#endif

static void snapshot(int64_t mark)
{
    fprintf(out, "{\"mark\": %" PRId64, mark);
    for (unsigned class = 0; class < (by_class ? CLASSES : 1); class ++)
        fprintf(out, ", \"%s\": %" PRIu64, class_names[class], counter_value(class));
    fputs("}\n", out);
    fflush(out);
}

/* A mark in a block: which one, and how many instructions the block has from there on. */
typedef struct { unsigned mark; uint64_t rest; } Place;

static void on_mark(unsigned cpu, void *data)
{
    const Place *place = data;
    (void)cpu;
    if (marks_passed++ < MARKS_MOST)
        fprintf(out, "{\"mark\": %u, \"total\": %" PRIu64 "}\n", place->mark,
                counter_value(TOTAL) - place->rest);
    else if (marks_passed == MARKS_MOST + 1)
        fputs("{\"mark\": -2, \"total\": 0}\n", out);
}

static void watch(struct qemu_plugin_insn *instruction, uint64_t rest)
{
    uint64_t address = qemu_plugin_insn_vaddr(instruction);
    for (unsigned i = 0; i < marks_given; i++) {
        Place *place = address == marks[i] ? malloc(sizeof *place) : NULL;
        if (!place) continue;
        place->mark = i, place->rest = rest;
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_mark, NO_REGISTERS, place);
    }
}

static void on_block(Id id, struct qemu_plugin_tb *block)
{
    uint64_t count[CLASSES] = {0};
    size_t n = qemu_plugin_tb_n_insns(block);
    (void)id;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        if (by_class) count[classify(word_of(instruction))]++;
        if (marks_given) watch(instruction, n - i);
    }
    count[TOTAL] = n;
    for (unsigned class = 0; class < CLASSES; class ++)
        if (count[class]) counter_add(block, class, count[class]);
}

static void on_syscall(Id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == SYSCALL_CLOSE && a1 >= MARK_FIRST && a1 <= MARK_LAST)
        snapshot((int64_t)(a1 - MARK_FIRST));
}

static void on_exit_of_guest(Id id, void *data)
{
    (void)id, (void)data;
    snapshot(-1);
    fclose(out);
}

EXPORT int qemu_plugin_install(Id id, const Info *info, int argc, char **argv)
{
    int spoken = info->version.cur;
    int fits = EDGEPRESS_PLUGIN_API == 3 ? spoken >= 3 : spoken == EDGEPRESS_PLUGIN_API;
    by_class = strcmp(info->target_name, "aarch64") == 0;
    if (!fits || !(by_class || strcmp(info->target_name, "arm") == 0)) {
        fprintf(stderr, "edgepress: compiled for plugin interface %d of aarch64 and arm, this is %d of %s\n",
                EDGEPRESS_PLUGIN_API, spoken, info->target_name);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
        if (strncmp(argv[i], "mark=", 5) == 0 && marks_given < MARKS)
            marks[marks_given++] = strtoull(argv[i] + 5, NULL, 0);
    }
    if (!out || !counters_make()) {
        fputs("edgepress: cannot write the file of out=\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, on_exit_of_guest, NULL);
    return 0;
}

#endif
