/* Entry: the bootloader jumps here with interrupts off. Gives the program a stack and a zeroed .bss. */

    .section .text.start, "ax"
    .global start
start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, stack_top
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call selftest
3:  j 3b
