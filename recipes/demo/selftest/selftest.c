/*
 * Self test for ESP32-C3 boards: a bare-metal application that ESP-IDF's second-stage bootloader starts.
 *
 * It prints a banner on UART0, answers one command a line and ends with PASS or FAIL. There is no
 * operating system, no interrupt and no heap: what the test needs is polled, and every wait is bounded.
 *
 * Register facts: ESP32-C3 Technical Reference Manual (chapters UART, System Registers, On-Chip Sensor
 * and Analog Signal Processing, IO MUX and GPIO, eFuse Controller, Watchdog Timers).
 */

#include <stdbool.h>
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

/* UART0: the bootloader leaves it at 115200 baud. */
#define UART_FIFO REG(0x60000000)
#define UART_STATUS REG(0x6000001C)
#define UART_RX_COUNT(status) ((status) & 0x3FF)
#define UART_TX_COUNT(status) (((status) >> 16) & 0x3FF)
#define UART_FIFO_SIZE 128

/* Watchdogs that the bootloader hands over running. */
#define RTC_WDT_CONFIG0 REG(0x60008090)
#define RTC_WDT_PROTECT REG(0x600080A8)
#define RTC_SWD_CONFIG REG(0x600080AC)
#define RTC_SWD_PROTECT REG(0x600080B0)
#define TIMG0_WDT_CONFIG0 REG(0x6001F048)
#define TIMG0_WDT_PROTECT REG(0x6001F064)
#define WDT_KEY 0x50D83AA1
#define SWD_KEY 0x8F1D312A
#define SWD_DISABLE (1u << 31)

/* eFuse words that hold the factory MAC. */
#define EFUSE_MAC_LOW REG(0x60008844)
#define EFUSE_MAC_HIGH REG(0x60008848)

/* GPIO 9 is the boot button on every reference board, pulled up. */
#define GPIO_IN REG(0x6000403C)
#define BOOT_BUTTON 9

/* Clocks and resets of the SAR ADC and the temperature sensor. */
#define SYSTEM_PERIP_CLK_EN0 REG(0x600C0010)
#define SYSTEM_PERIP_CLK_EN1 REG(0x600C0014)
#define SYSTEM_PERIP_RST_EN0 REG(0x600C0018)
#define SARADC_BIT (1u << 28)
#define TSENS_BIT (1u << 10)

#define SARADC_CTRL REG(0x60040000)
#define SARADC_XPD_FORCE_ON (3u << 27)
#define SARADC_ONETIME REG(0x60040020)
#define SARADC_ONETIME_ADC1 (1u << 31)
#define SARADC_ONETIME_START (1u << 29)
#define SARADC_ONETIME_CHANNEL(n) ((uint32_t)(n) << 25)
#define SARADC_ONETIME_ATTEN(n) ((uint32_t)(n) << 23)
#define SARADC_ADC1_DATA REG(0x6004002C)
#define SARADC_INT_RAW REG(0x60040044)
#define SARADC_INT_CLR REG(0x6004004C)
#define SARADC_ADC1_DONE (1u << 31)
#define SARADC_CLKM_CONF REG(0x60040054)
#define SARADC_CLKM_ENABLE (1u << 20)
#define SARADC_CLKM_APB (2u << 21)
#define TSENS_CTRL REG(0x60040058)
#define TSENS_POWER_UP (1u << 22)
#define TSENS_CTRL2 REG(0x6004005C)
#define TSENS_CLK_XTAL (1u << 15)

/* The supply is measured on ADC1 channel 2 (GPIO 2) behind a divider of two equal resistors. */
#define SUPPLY_CHANNEL 2
#define SUPPLY_DIVIDER 2
#define ATTENUATION_12DB 3
#define FULL_SCALE_MV 2500
#define ADC_MAX 4095

/* The application descriptor that the bootloader and every tool look for, first in the first segment. */
struct app_description {
    uint32_t magic;
    uint32_t secure_version;
    uint32_t reserved1[2];
    char version[32];
    char project[32];
    char time[16];
    char date[16];
    char idf_version[32];
    uint8_t elf_sha256[32];
    uint16_t min_efuse_block_revision;
    uint16_t max_efuse_block_revision;
    uint8_t mmu_page_size;
    uint8_t reserved2[3];
    uint32_t reserved3[18];
};
_Static_assert(sizeof(struct app_description) == 256, "the descriptor is 256 bytes long");

#define APP_MAGIC 0xABCD5432

__attribute__((section(".app_description"), used))
const struct app_description app_description = {
    .magic = APP_MAGIC,
    .version = "1.0.0",
    .project = "station-selftest",
    .idf_version = "none",
    .max_efuse_block_revision = 0xFFFF,
    .mmu_page_size = 16,
};

extern const uint8_t drom_start[], drom_end[], irom_start[], irom_end[];

static bool failed;

static void put_char(char character) {
    while (UART_TX_COUNT(UART_STATUS) >= UART_FIFO_SIZE - 1) {
    }
    UART_FIFO = (uint8_t)character;
}

static void put_text(const char *text) {
    while (*text) {
        put_char(*text++);
    }
}

static void put_line(const char *text) {
    put_text(text);
    put_text("\r\n");
}

static void put_hex(uint32_t value, int digits) {
    while (digits-- > 0) {
        put_char("0123456789abcdef"[(value >> (4 * digits)) & 0xF]);
    }
}

static void put_decimal(uint32_t value) {
    char digits[10];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count > 0) {
        put_char(digits[--count]);
    }
}

/* Prints a number of tenths, `-5` as `-0.5`. */
static void put_tenths(int32_t tenths) {
    if (tenths < 0) {
        put_char('-');
        tenths = -tenths;
    }
    put_decimal((uint32_t)tenths / 10);
    put_char('.');
    put_char((char)('0' + tenths % 10));
}

static bool equal(const char *left, const char *right) {
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return *left == *right;
}

static void stop_watchdogs(void) {
    RTC_WDT_PROTECT = WDT_KEY;
    RTC_WDT_CONFIG0 = 0;
    RTC_SWD_PROTECT = SWD_KEY;
    RTC_SWD_CONFIG |= SWD_DISABLE;
    TIMG0_WDT_PROTECT = WDT_KEY;
    TIMG0_WDT_CONFIG0 = 0;
}

static void put_mac(void) {
    uint32_t low = EFUSE_MAC_LOW, high = EFUSE_MAC_HIGH;
    put_hex(high >> 8, 2);
    put_char(':');
    put_hex(high, 2);
    for (int byte = 3; byte >= 0; byte--) {
        put_char(':');
        put_hex(low >> (8 * byte), 2);
    }
}

/* Converts once on the supply channel. False if the converter gives no result in time. */
static bool read_supply(uint32_t *millivolts) {
    SYSTEM_PERIP_CLK_EN0 |= SARADC_BIT;
    SYSTEM_PERIP_RST_EN0 |= SARADC_BIT;
    SYSTEM_PERIP_RST_EN0 &= ~SARADC_BIT;
    SARADC_CLKM_CONF |= SARADC_CLKM_ENABLE | SARADC_CLKM_APB;
    SARADC_CTRL |= SARADC_XPD_FORCE_ON;
    SARADC_INT_CLR = SARADC_ADC1_DONE;
    uint32_t request = SARADC_ONETIME_ADC1 | SARADC_ONETIME_CHANNEL(SUPPLY_CHANNEL) |
                       SARADC_ONETIME_ATTEN(ATTENUATION_12DB);
    SARADC_ONETIME = request;
    SARADC_ONETIME = request | SARADC_ONETIME_START;
    bool done = false;
    for (uint32_t polls = 0; polls < 1000000 && !done; polls++) {
        done = SARADC_INT_RAW & SARADC_ADC1_DONE;
    }
    uint32_t raw = SARADC_ADC1_DATA & 0xFFF;
    SARADC_ONETIME = 0;
    *millivolts = raw * FULL_SCALE_MV * SUPPLY_DIVIDER / ADC_MAX;
    return done;
}

/* Die temperature in tenths of a degree: T = 0.4386 × value − 20.52 at the default range. */
static int32_t read_temperature(void) {
    SYSTEM_PERIP_CLK_EN1 |= TSENS_BIT;
    TSENS_CTRL2 |= TSENS_CLK_XTAL;
    TSENS_CTRL |= TSENS_POWER_UP;
    for (volatile uint32_t settle = 0; settle < 100000; settle++) {
    }
    int32_t value = (int32_t)(TSENS_CTRL & 0xFF);
    return (value * 4386 - 205200) / 1000;
}

/* Walks a one and its complement through a scratch area. */
static bool ram_is_good(void) {
    static volatile uint32_t scratch[1024];
    for (uint32_t bit = 0; bit < 32; bit++) {
        for (uint32_t i = 0; i < 1024; i++) {
            scratch[i] = (1u << bit) ^ (i * 0x9E3779B9u);
        }
        for (uint32_t i = 0; i < 1024; i++) {
            if (scratch[i] != ((1u << bit) ^ (i * 0x9E3779B9u))) {
                return false;
            }
        }
    }
    return true;
}

static uint32_t crc32_of(uint32_t crc, const uint8_t *from, const uint8_t *to) {
    for (; from < to; from++) {
        crc ^= *from;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
        }
    }
    return crc;
}

static uint32_t flash_crc(void) {
    return ~crc32_of(crc32_of(0xFFFFFFFFu, drom_start, drom_end), irom_start, irom_end);
}

static void judge(const char *name, bool good) {
    put_text(name);
    put_text(good ? "=ok" : "=bad");
    if (!good) {
        failed = true;
    }
}

static void answer(const char *command) {
    uint32_t millivolts;
    if (equal(command, "adc vdd")) {
        put_text("vdd=");
        if (read_supply(&millivolts)) {
            put_decimal(millivolts);
            put_line("mV");
        } else {
            failed = true;
            put_line("none");
        }
    } else if (equal(command, "temp")) {
        put_text("temp=");
        put_tenths(read_temperature());
        put_line("C");
    } else if (equal(command, "ram test")) {
        judge("ram", ram_is_good());
        put_line("");
    } else if (equal(command, "flash crc")) {
        uint32_t crc = flash_crc();
        judge("flash", app_description.magic == APP_MAGIC && crc == flash_crc());
        put_text(" crc=");
        put_hex(crc, 8);
        put_line("");
    } else if (equal(command, "button")) {
        put_line((GPIO_IN >> BOOT_BUTTON) & 1 ? "button=released" : "button=pressed");
    } else if (equal(command, "mac")) {
        put_text("mac=");
        put_mac();
        put_line("");
    } else if (equal(command, "finish")) {
        put_line(failed ? "SELFTEST FAIL" : "SELFTEST PASS");
    } else {
        put_line("ERR unknown");
    }
}

/* Reads one line into `line`, without its end. A longer line is cut and so becomes unknown. */
static void read_line(char *line, uint32_t size) {
    uint32_t length = 0;
    for (;;) {
        while (UART_RX_COUNT(UART_STATUS) == 0) {
        }
        char character = (char)UART_FIFO;
        if (character == '\n' || character == '\r') {
            if (length > 0) {
                line[length] = 0;
                return;
            }
        } else if (length + 1 < size) {
            line[length++] = character;
        }
    }
}

void selftest(void) {
    static char line[64];
    stop_watchdogs();
    put_line("SELFTEST START");
    put_text("chip=esp32c3 mac=");
    put_mac();
    put_line("");
    put_line("SELFTEST READY");
    for (;;) {
        read_line(line, sizeof line);
        answer(line);
    }
}
