#include "textflag.h"

// dmcow_entry is where the program begins when the linker is told so (-E, in the Makefile). The Go
// runtime reserves much of the address space before any code of the program runs, and where it
// may not (ulimit -v), it exits with 2, which means something else. So that is looked at first.
//
// The kernel has put the arguments on the stack, which is left as it was.
TEXT dmcow_entry(SB), NOSPLIT|NOFRAME, $0
	SUB	$32, RSP
	MOVD	$163, R8 // getrlimit
	MOVD	$9, R0   // RLIMIT_AS
	MOVD	RSP, R1
	SVC
	MOVD	0(RSP), R2 // the soft limit
	ADD	$32, RSP
	CBNZ	R0, start
	MOVD	$0x60000000, R3 // 1.5 GiB
	CMP	R3, R2
	BHS	start
	MOVD	$64, R8 // write
	MOVD	$2, R0
	MOVD	$tooLittle<>(SB), R1
	MOVD	$71, R2
	SVC
	MOVD	$94, R8 // exit_group
	MOVD	$8, R0
	SVC
start:
	// The runtime opens /dev/null where standard output is closed: see OutputClosed.
	MOVD	$25, R8 // fcntl
	MOVD	$1, R0
	MOVD	$1, R1 // F_GETFD
	SVC
	CMN	$9, R0 // EBADF
	BNE	open
	MOVD	$1, R2
	MOVB	R2, ·outputClosed(SB)
open:
	JMP	_rt0_arm64_linux(SB)

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
