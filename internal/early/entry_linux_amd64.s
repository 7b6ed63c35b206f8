#include "textflag.h"

// dmcow_entry is where the program begins when the linker is told so (-E, in the Makefile). The Go
// runtime reserves much of the address space before any code of the program runs, and where it
// may not (ulimit -v), it exits with 2, which means something else. So that is looked at first.
//
// The kernel has put the arguments on the stack, which is left as it was.
TEXT dmcow_entry(SB), NOSPLIT|NOFRAME, $0
	SUBQ	$32, SP
	MOVL	$97, AX // getrlimit
	MOVL	$9, DI  // RLIMIT_AS
	MOVQ	SP, SI
	SYSCALL
	MOVQ	0(SP), CX // the soft limit
	ADDQ	$32, SP
	TESTQ	AX, AX
	JNE	start
	MOVQ	$0x60000000, DX // 1.5 GiB
	CMPQ	CX, DX
	JCC	start
	MOVL	$1, AX // write
	MOVL	$2, DI
	LEAQ	tooLittle<>(SB), SI
	MOVL	$71, DX
	SYSCALL
	MOVL	$231, AX // exit_group
	MOVL	$8, DI
	SYSCALL
start:
	// The runtime opens /dev/null where standard output is closed: see OutputClosed.
	MOVL	$72, AX // fcntl
	MOVL	$1, DI
	MOVL	$1, SI // F_GETFD
	SYSCALL
	CMPQ	AX, $-9 // EBADF
	JNE	open
	MOVB	$1, ·outputClosed(SB)
open:
	JMP	_rt0_amd64_linux(SB)

DATA	tooLittle<>+0(SB)/8, $"dmcow: n"
DATA	tooLittle<>+8(SB)/8, $"eeds 1.5"
DATA	tooLittle<>+16(SB)/8, $" GiB of "
DATA	tooLittle<>+24(SB)/8, $"address "
DATA	tooLittle<>+32(SB)/8, $"space, a"
DATA	tooLittle<>+40(SB)/8, $"nd is al"
DATA	tooLittle<>+48(SB)/8, $"lowed le"
DATA	tooLittle<>+56(SB)/8, $"ss (ulim"
DATA	tooLittle<>+64(SB)/4, $"it -"
DATA	tooLittle<>+68(SB)/2, $"v)"
DATA	tooLittle<>+70(SB)/1, $"\n"
GLOBL	tooLittle<>(SB), RODATA, $71
