/* A program with everything that an application image has: descriptor, constants, code in flash and RAM, data. */

typedef unsigned int word;

struct descriptor {
    word magic, secure_version, reserved[2];
    char version[32], project[32], time[16], date[16], idf[32];
    unsigned char elf_sha256[32];
    unsigned short min_block_revision, max_block_revision;
    unsigned char page_bits, rest[75];
};

__attribute__((section(".rodata_desc"), used)) const struct descriptor description = {
    .magic = 0xABCD5432,
    .version = "0.1",
    .project = "compiled",
    .idf = "none",
    .max_block_revision = 0xFFFF,
};

static const char table[] = "constants of an odd length, in flash";
static volatile word counter = 41;
static volatile char zeroed[1000];

__attribute__((noinline)) static word mapped(word value) {
    word sum = value;
    for (word at = 0; at < sizeof table; at++) {
        sum = sum * 31 + table[at];
    }
    return sum;
}

__attribute__((section(".iram1"), noinline)) static void loaded(word value) {
    counter += value;
    zeroed[counter % sizeof zeroed] = (char)value;
}

static void first(void) {
    loaded(7);
}

__attribute__((section(".init_array"), used)) static void (*const start[])(void) = {first};

__attribute__((section(".iram1"))) void call_start_cpu0(void) {
    start[0]();
    for (;;) {
        loaded(mapped(counter));
    }
}
