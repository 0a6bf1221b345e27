/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fuzz/formats_fuzz.c - trace, inventory and rule files of any content.
 *
 * Nothing crashes, leaks or is half-loaded, a refusal has a reason, and what is
 * accepted can be saved and loads again as the same. With -DKM_LIBFUZZER the
 * target alone, for libFuzzer; else a driver that mutates a built-in corpus for
 * SECS seconds (SEED= to choose, ITER= to repeat one input and write it out).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "lib/rand.h"
#include "tests/fuzz/fuzz.h"
#include "place/inventory.h"
#include "place/rules.h"
#include "place/trace.h"

/* Two files in memory, made once: what is read, and what is written. */
static char in_path[64], out_path[64];
static int in_fd = -1;

static void open_files(void)
{
	int fd;

	if (in_fd >= 0)
		return;
	in_fd = memfd_create("in", 0);
	fd = memfd_create("out", 0);
	REQUIRE(in_fd >= 0 && fd >= 0);
	snprintf(in_path, sizeof(in_path), "/proc/self/fd/%d", in_fd);
	snprintf(out_path, sizeof(out_path), "/proc/self/fd/%d", fd);
}

static void check_refusal(int err, const struct km_diag *diag)
{
	REQUIRE(err == -EINVAL || err == -EIO);
	REQUIRE(diag->reason[0]);
	REQUIRE(!strcmp(diag->file, in_path));
}

static void try_trace(void)
{
	struct km_trace *trace = NULL, *again = NULL;
	struct km_diag diag = { .reason = "" };
	int err = km_trace_load(&trace, in_path, 0, &diag);
	uint64_t i;

	if (err) {
		REQUIRE(!trace);
		check_refusal(err, &diag);
		return;
	}
	REQUIRE(!km_trace_save(trace, out_path, &diag));
	REQUIRE(!km_trace_load(&again, out_path, 0, &diag));
	REQUIRE(again->event_nr == trace->event_nr && again->initial_nr == trace->initial_nr);
	for (i = 0; i < trace->event_nr; i++)
		REQUIRE(again->event[i].at_us == trace->event[i].at_us &&
			again->event[i].op == trace->event[i].op &&
			!memcmp(again->event[i].res, trace->event[i].res,
				sizeof(again->event[i].res)));
	km_trace_destroy(trace);
	km_trace_destroy(again);
}

static void try_inventory(void)
{
	struct km_inventory *inv = NULL, *again = NULL;
	struct km_diag diag = { .reason = "" };
	int err = km_inventory_load(&inv, in_path, &diag);

	if (err) {
		REQUIRE(!inv);
		check_refusal(err, &diag);
		return;
	}
	REQUIRE(!km_inventory_save(inv, out_path, &diag));
	REQUIRE(!km_inventory_load(&again, out_path, &diag));
	REQUIRE(again->server_nr == inv->server_nr && again->label_nr == inv->label_nr);
	REQUIRE(!memcmp(again->healthy, inv->healthy, inv->server_nr));
	REQUIRE(!memcmp(again->rack, inv->rack, inv->server_nr * sizeof(*inv->rack)));
	km_inventory_destroy(inv);
	km_inventory_destroy(again);
}

static void try_rules(void)
{
	struct km_ruleset *set = NULL;
	struct km_diag diag = { .reason = "" };
	int err = km_ruleset_load(&set, in_path, &diag);
	uint32_t i, bits = 0;

	if (err) {
		REQUIRE(!set);
		check_refusal(err, &diag);
		return;
	}
	REQUIRE(set->rule_nr && set->rule_nr <= KM_RULES_MAX);
	for (i = 0; i < set->rule_nr; i++)
		bits += set->rule[i].bits;
	REQUIRE(bits <= KM_RULESET_BITS_MAX);
	km_ruleset_destroy(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nr)
{
	open_files();
	REQUIRE(!ftruncate(in_fd, 0));
	REQUIRE(pwrite(in_fd, bytes, nr, 0) == (ssize_t)nr);
	try_trace();
	try_inventory();
	try_rules();
	return 0;
}

#ifndef KM_LIBFUZZER

#define PLAIN_MAX 4096

/* Each in parentheses: a comma forgotten between two would go unnoticed. */
static const char *const corpus[] = {
	("at_us,op,vm,tenant,batch,cpu,memory,ssd,nic,gpu,shape,priority\n"
	 "-5,create,v1,t1,,1,1.75,,,,100/14,high\n"
	 "0,create,v2,t1,b1,2,3.5,180,1,0,200/28,low\n"
	 "0,create,v3,t1,b1,2,3.5,180,1,0,200/28,low\n"
	 "7,delete,v1\n"),
	"vm,op,at_us\r\n\"a,\"\"b\",create,1\r\n\"a,\"\"b\",delete,2\r\n",
	"at_us,op,vm,x\n9000000000000000,create,v,\"\"\n",
	("server,cluster,rack,cpu,memory,ssd,nic,gpu,kind,health\n"
	 "s1,c1,r1,40,256,5365.5,40,0,12|21,ok\n"
	 "s2,c1,r2,40,256,5365.5,40,0,12,down\n"),
	"server\na\nb\n",
	("; rules\n[rule cpu]\nkind = fits\nresource = cpu\n"
	 "[rule hw]\nkind = table\ntrait = shape\nlabel = kind\nrows = 1/2: 12|4,\n  2/4: 21\n"
	 "[rule old]\nkind = prefer\nlabel = gen\nvalue = g1\ntrait = priority\nonly = low\nbits = 2\n"
	 "[rule power]\nkind = order\nlabel = power\norder = a, b\n"
	 "[rule apart]\nkind = spread\nover = rack\nwithin = tenant\nmax = 3\n"),
	("[rule room]\nkind = headroom\ntrait = p\nvalue = low\nresource = memory\npercent = 7\n"
	 "uses = memory, p\n[rule even]\nkind = balance\nbits = 8\n[rule ok]\nkind = healthy\n"),
};

static const char *const words[] = {
	",",
	"\n",
	"\r\n",
	"\"",
	"\"\"",
	"create",
	"delete",
	"-1",
	"9999999999999999999",
	"0.0001",
	"2000000",
	".",
	"batch",
	"cpu",
	"server",
	"health",
	"|",
	"[rule x]\n",
	"kind = ",
	"fits",
	"table",
	"rows = ",
	" ",
	"\t",
	": ",
	"=",
	";",
	"]",
	"\xef\xbb\xbf",
	"\x1f\x8b",
};

static void insert(struct input *in, size_t at, const void *bytes, size_t nr)
{
	if (in->nr + nr > PLAIN_MAX)
		return;
	memmove(in->bytes + at + nr, in->bytes + at, in->nr - at);
	memcpy(in->bytes + at, bytes, nr);
	in->nr += nr;
}

static void mutate(struct input *in, struct km_rand *rand)
{
	uint8_t copy[64];
	size_t at = km_rand_below(rand, in->nr + 1), nr = km_rand_below(rand, sizeof(copy));
	const char *word;

	if (nr > in->nr - at)
		nr = in->nr - at;
	switch (km_rand_below(rand, 7)) {
	case 0:
		if (at < in->nr)
			in->bytes[at] ^= (uint8_t)(1u << km_rand_below(rand, 8));
		break;
	case 1:
		if (at < in->nr)
			in->bytes[at] = (uint8_t)km_rand_u64(rand);
		break;
	case 2: /* take a piece away */
		memmove(in->bytes + at, in->bytes + at + nr, in->nr - at - nr);
		in->nr -= nr;
		break;
	case 3: /* a piece again, elsewhere */
		memcpy(copy, in->bytes + at, nr);
		insert(in, km_rand_below(rand, in->nr + 1), copy, nr);
		break;
	case 4:
		if (km_rand_below(rand, 4) == 0)
			in->nr = at;
		break;
	default:
		word = words[km_rand_below(rand, sizeof(words) / sizeof(words[0]))];
		insert(in, at, word, strlen(word));
		break;
	}
}

static void compress_input(struct input *in)
{
	uint8_t packed[PLAIN_MAX + 512];
	z_stream z = { .next_in = in->bytes,
		       .avail_in = (uInt)in->nr,
		       .next_out = packed,
		       .avail_out = sizeof(packed) };

	REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
	in->nr = z.total_out;
	memcpy(in->bytes, packed, in->nr);
	deflateEnd(&z);
}

static void make_input(struct input *in, uint64_t seed)
{
	const char *text;
	struct km_rand rand;
	uint64_t rounds;

	km_rand_init(&rand, seed);
	text = corpus[km_rand_below(&rand, sizeof(corpus) / sizeof(corpus[0]))];
	in->nr = strlen(text);
	memcpy(in->bytes, text, in->nr);
	for (rounds = km_rand_below(&rand, 8); rounds; rounds--)
		mutate(in, &rand);
	if (km_rand_below(&rand, 8))
		return;
	compress_input(in);
	for (rounds = km_rand_below(&rand, 3); rounds; rounds--)
		mutate(in, &rand);
}

int main(void)
{
	return fuzz_main("formats_fuzz", make_input);
}

#endif
