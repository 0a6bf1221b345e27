# SPDX-License-Identifier: LGPL-2.1-or-later
# Kamino. Read from the top: variables, probes, modules, rules. "make help" lists the targets.

# ---- variables -------------------------------------------------------------
comma := ,
V ?= 0
SAN ?=
BREAK ?=
O ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(BREAK),-break-$(BREAK))
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(Q),@printf '  %-7s %s\n' $(1) $(2))
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 1)

CFLAGS ?= -O2 -g
KM_CFLAGS := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wcast-align \
	-fno-omit-frame-pointer -fno-common -ffp-contract=off -pthread $(if $(WERROR),-Werror) \
	$(if $(LTO),-flto) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
CPPFLAGS += -I. -D_GNU_SOURCE $(if $(BREAK),-DKM_BREAK_$(BREAK)=1)
KM_LDFLAGS := -pthread $(if $(SAN),-fsanitize=$(SAN)) $(if $(LTO),-flto)

# ---- probes ----------------------------------------------------------------
PKGS := liburcu-qsbr jemalloc hwloc jansson inih libxxhash zlib sqlite3
PKG_MISSING := $(strip $(foreach p,$(PKGS) cmocka,$(shell pkg-config --exists $(p) 2>/dev/null || echo $(p))))
CPPFLAGS += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lurcu-common -lm
TEST_LIBS := $(shell pkg-config --libs cmocka 2>/dev/null) -ldl
VERSION := 0.1.0
REVISION := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

# The rivals of "bench ring" are headers, inlined into one object each: nothing to link.
DPDK_HEADERS ?= /usr/local/share/kamino/dpdk/usr/include
DPDK_CFLAGS := $(shell pkg-config --cflags libdpdk 2>/dev/null || ! test -e $(DPDK_HEADERS)/dpdk/rte_ring.h || \
	echo $(addprefix -isystem ,$(wildcard $(DPDK_HEADERS)/*/dpdk) $(DPDK_HEADERS)/dpdk) -include rte_config.h -march=corei7)

# Optional: probed by a compile, NO_X=1 turns one off. $(O)/features.mk keeps the answers; it
# is made anew when what stands in FEATURE_KEY changes.
FEATURE_KEY := $(CC) $(if $(NO_SDT),no-sdt,$(wildcard /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h)) \
	$(if $(NO_CURSES),no-curses,$(wildcard /usr/include/curses.h /usr/include/*/curses.h)) \
	$(if $(NO_RIVALS),no-rivals,$(CXX) $(DPDK_CFLAGS) $(wildcard /usr/include/ck_ring.h /usr/include/boost/lockfree))
NO_BUILD := deps check demo lint format clean help frame-cflags
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
-include $(O)/features.mk
ifneq ($(strip $(FEATURE_KEY)),$(strip $(FEATURES_FOR)))
$(O)/features.mk: FORCE
endif
endif
$(O)/features.mk: Makefile
	$(Q)mkdir -p $(@D)
	$(Q){ echo 'FEATURES_FOR := $(FEATURE_KEY)'; \
		test -n '$(NO_SDT)' || ! printf '%s\n' '#include <sys/sdt.h>' 'int main(void)' \
			'{ DTRACE_PROBE1(kamino, probe, 1); return 0; }' | \
			$(CC) -x c -o /dev/null - 2>/dev/null || echo 'HAVE_SDT := 1'; \
		test -n '$(NO_CURSES)' || ! printf '%s\n' '#include <curses.h>' \
			'int main(void) { return newterm(0, stdout, stdin) != 0; }' | \
			$(CC) -x c -o /dev/null - $(CURSES_LIBS) 2>/dev/null || echo 'HAVE_CURSES := 1'; \
		test -n '$(NO_RIVALS)' || { \
			! echo '#include <ck_ring.h>' | $(CC) -x c -c -o /dev/null - 2>/dev/null || echo 'RIVALS += ck'; \
			test "$$($(CC) -dumpmachine | cut -d- -f1)" != "$$($(CXX) -dumpmachine | cut -d- -f1)" || \
				! echo '#include <boost/lockfree/spsc_queue.hpp>' | \
				$(CXX) -x c++ -c -o /dev/null - 2>/dev/null || echo 'RIVALS += boost'; \
			! echo '#include <rte_ring_elem.h>' | \
				$(CC) $(DPDK_CFLAGS) -x c -c -o /dev/null - 2>/dev/null || echo 'RIVALS += dpdk'; }; } >$@
CURSES_LIBS := $(or $(shell pkg-config --libs ncursesw 2>/dev/null),-lncursesw)
CPPFLAGS += $(if $(HAVE_SDT),-DKM_HAVE_SDT)
FEATURES := $(if $(HAVE_SDT),+sdt,-sdt) $(if $(HAVE_CURSES),+curses,-curses) $(if $(RIVALS),$(RIVALS:%=+ring-%),-ring-rivals)

# ---- modules ---------------------------------------------------------------
lib_SRC := base.c clock.c diag.c hist.c host.c opts.c replace.c series.c snap.c
ring_SRC := bcast.c lines.c mpsc.c park.c spsc.c
numa_SRC := topo.c
alloc_SRC := arena.c slots.c
cache_SRC := cache.c digest.c
core_SRC := type.c estimate.c finish.c glance.c bounds.c view.c view_check.c sched.c record.c eval.c agent.c dispatcher.c \
	estimator_thread.c runtime.c stage.c policy/policies.c policy/blind.c policy/latcache.c policy/more.c
place_SRC := csv.c dict.c import_csv.c import_sqlite.c inventory.c res.c rules.c rules_default.c trace.c zone.c zone_data.c zone_fleet.c zone_gen.c \
	agent.c audit.c consolidate.c kernels.c objects.c place.c preload.c rule_bind.c rule_eval.c serve.c store_memory.c view.c
sim_SRC := check.c costs.c costs_file.c create.c experiment.c figures.c judge.c meet.c order.c paper.c result.c serve.c sim.c sweep.c timers.c trace_source.c zone.c zone_file.c zones.c
tools_SRC := bench.c bench_dispatch.c build.c job.c json.c json_times.c main.c policy_list.c replay.c request_log.c run.c run_report.c run_world.c sim.c sim_report.c sim_world.c topo.c trace.c trace_stat.c version.c
tools_SRC += report.c report_bench.c report_beside.c report_chart.c report_css.c report_doc.c report_groups.c report_html.c \
	report_lying.c report_numbers.c report_off.c report_other.c report_paper.c report_plot.c report_runs.c report_script.c
tools_SRC += publish.c run_publish.c segment.c top.c top_figures.c top_json.c top_page.c top_screen.c
MODULES := lib ring numa alloc cache core place sim
LIB_SRC := $(foreach m,$(MODULES),$(addprefix $(m)/,$($(m)_SRC)))
# Benchmarks of perf/ that are part of the command, and their options.
bench_SRC := cache_bench.c classify_bench.c counters.c dispatch_bench.c dispatch_play.c dispatch_rivals.c dispatch_world.c e2e_bench.c rows.c rules_bench.c rules_world.c sim_bench.c slots_bench.c snap_age.c snap_bench.c
tools_SRC += bench_cache.c bench_classify.c bench_e2e.c bench_rows.c bench_rules.c bench_sim.c bench_slots.c bench_snap.c
bench_SRC += ring_bench.c ring_cached.c ring_contestants.c ring_ours.c
tools_SRC += bench_ring.c
rival_SRC := ring_boost.cc ring_ck.c ring_dpdk.c
TOOL_SRC := $(addprefix tools/,$(tools_SRC)) $(addprefix perf/,$(bench_SRC))

# Programs that "make check" runs, by the name of their source without .c.
UNIT := sim_test place_test audit_test lib_test arena_test slots_test topo_test ring_test cache_test type_test formats_test consolidate_test store_test policy_test zone_test import_test rules_test series_test estimate_test decision_path_test eval_test page_fault_test runtime_test counters_test ring_bench_test segment_test stage_test host_test replace_test
MODEL := sim_model_test cache_model_test digest_model_test place_model_test policy_model_test theorem1_test sched_model_test import_sample_test
STRESS := store_stress runtime_stress ring_stress snap_stress digest_stress park_stress summary_stress changed_stress seq_stress
# Measuring programs of perf/, built by "make perf".
PERF := decision_probe
# Programs that "make fuzz" runs.
FUZZ := formats_fuzz segment_fuzz
# Scripts that "make check" runs; they print TAP and find the binary in $$KAMINO.
SCRIPTS := \
	tests/cli/bench_ring_test.py \
	tests/cli/bench_test.py \
	tests/cli/compare_test.py \
	tests/cli/flame_test.py \
	tests/cli/job_test.py \
	tests/cli/man_test.py \
	tests/cli/profile_test.py \
	tests/cli/report_test.py \
	tests/cli/run_test.py \
	tests/cli/sim_test.py \
	tests/cli/top_test.py \
	tests/cli/topo_test.py \
	tests/cli/trace_test.py \
	tests/cli/validate_test.py \
	scripts/check-instructions.sh \
	scripts/check-litmus.sh

TESTS := $(addprefix $(O)/tests/unit/,$(UNIT)) $(addprefix $(O)/tests/model/,$(MODEL))
STRESS_TESTS := $(addprefix $(O)/tests/stress/,$(STRESS))
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
TOOL_OBJ := $(TOOL_SRC:%.c=$(O)/%.o)
RIVAL_OBJ := $(if $(SAN),,$(foreach r,$(RIVALS),$(filter %/ring_$(r).o,$(addsuffix .o,$(basename $(addprefix $(O)/perf/,$(rival_SRC)))))))

# ---- rules -----------------------------------------------------------------
.PHONY: all check-arm64 perf bench-compare deps demo check check-run check-san check-zone stress check-breaks lint format \
	man install clean help
.DEFAULT_GOAL := all
.SECONDARY:

all: $(O)/libkamino.a $(if $(tools_SRC),$(O)/kamino) ## the library and the command

# Profiles want a frame of every function. gcc drops that of leaves, with the caller that stands
# in it, unless they are to call mcount; the call itself is left a nop. clang drops it on ways out
# of a function before it is made. A tail call drops its caller's. What stands in CPPFLAGS, handed
# on by the environment, is not there when linking: -pg would start gprof.
FRAMES_gcc = $(if $(filter x86_64,$(shell uname -m)),-pg -mnop-mcount)
FRAMES_clang = -mno-omit-leaf-frame-pointer -mllvm -enable-shrink-wrap=false
FRAME_CPPFLAGS = $(if $(findstring clang,$(shell $(CC) --version)),$(FRAMES_clang),$(FRAMES_gcc))
FRAME_CFLAGS = -O2 -g -fno-pie -fno-optimize-sibling-calls
# run and sim are verbs, everything else is a benchmark.
FLAME_BENCH := $(or $(BENCH),dispatch)
FLAME_ARGS_dispatch := --agents 64 --no-naive --samples 500000
FLAME_ARGS_run := --policy latcache-rule
FLAME_ARGS_sim := --policy latcache-rule --hours 240
FLAME_RUN = $(if $(filter run sim,$(FLAME_BENCH)),,bench )$(FLAME_BENCH) $(FLAME_ARGS_$(FLAME_BENCH)) $(ARGS)

.PHONY: flame flame-diff flame-build frame-cflags
frame-cflags:
	@echo '$(FRAME_CPPFLAGS) $(FRAME_CFLAGS)'
flame-build:
	$(Q)perf/record.sh --check
	$(Q)CPPFLAGS='$(FRAME_CPPFLAGS)' $(MAKE) --no-print-directory O=$(O)/flame/build CFLAGS='$(FRAME_CFLAGS)' LDFLAGS='$(LDFLAGS) -no-pie' all

flame: flame-build ## where the time of BENCH=dispatch goes, as a flame graph; ARGS= its options
	$(Q)perf/record.sh --out $(O)/flame/$(FLAME_BENCH) --title 'kamino $(FLAME_RUN)' \
		-- $(O)/flame/build/kamino $(FLAME_RUN)

flame-diff: flame-build ## what moved since BASE=revision; BENCH=dispatch ARGS= ROUNDS=5
	$(Q)test -n '$(BASE)' || { echo "flame-diff: say BASE=revision" >&2; exit 2; }
	$(Q)CPPFLAGS='$(FRAME_CPPFLAGS)' CFLAGS='$(FRAME_CFLAGS)' CC='$(CC)' perf/flame-diff.sh $(O) '$(BASE)' $(FLAME_RUN)

deps: ## install what is missing (Debian; root or sudo)
	$(Q)scripts/deps.sh

ifneq ($(PKG_MISSING),)
$(O)/%.o: missing-packages
.PHONY: missing-packages
missing-packages:
	@echo "kamino: missing libraries: $(PKG_MISSING); run 'make deps'" >&2; exit 1
endif

$(O)/%.o: %.c Makefile $(O)/features.mk
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(KM_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(O)/%.o: %.cc Makefile $(O)/features.mk
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) -Wall -Wextra $(filter -Werror -f%,$(filter-out -flto,$(KM_CFLAGS))) -fno-exceptions -fno-rtti -pthread \
		$(CFLAGS) -MMD -MP -c $< -o $@

$(O)/perf/ring_dpdk.o: CPPFLAGS += $(DPDK_CFLAGS)
# Contestants' loops are short: where they happen to stand in a line must not decide.
$(O)/perf/ring_%.o: CPPFLAGS += -falign-loops=32 -falign-functions=64

$(O)/libkamino.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# What build.c tells of this build; it is compiled anew when one of the texts changes.
BUILD_TEXTS = -DKM_VERSION='"$(VERSION)"' -DKM_REVISION='"$(REVISION)"' \
	-DKM_FLAGS='"$(subst ",,$(subst ',,$(strip $(CFLAGS) $(if $(LTO),-flto))))"' \
	-DKM_SANITIZER='"$(or $(SAN),none)"' -DKM_FEATURES='"$(FEATURES)"' -DKM_LIBRARIES='"$(LIB_VERSIONS)"'
LIB_VERSIONS = $(join $(PKGS:=-),$(shell pkg-config --modversion $(PKGS)))
$(O)/build.texts: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo "$(subst ",,$(BUILD_TEXTS))" | cmp -s - $@ || echo "$(subst ",,$(BUILD_TEXTS))" >$@
.PHONY: FORCE
$(O)/tools/build.o: $(O)/build.texts
$(O)/tools/build.o: CPPFLAGS += $(BUILD_TEXTS)

$(O)/tools/top_screen.o: CPPFLAGS += $(if $(HAVE_CURSES),-DKM_HAVE_CURSES)
$(O)/kamino: LIBS += $(if $(HAVE_CURSES),$(CURSES_LIBS))
# The synthetic workload is what "kamino bench e2e" serves.
$(O)/kamino: $(TOOL_OBJ) $(RIVAL_OBJ) $(O)/tests/support/synth.o $(O)/libkamino.a
	$(call say,LD,$@)
	$(Q)$(CC) $(KM_CFLAGS) $(CFLAGS) $(KM_LDFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

# What several tests use; linked into all of them as a library.
SUPPORT := synth.c
SUPPORT_OBJ := $(SUPPORT:%.c=$(O)/tests/support/%.o)
$(O)/tests/libsupport.a: $(SUPPORT_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/tests/%: $(O)/tests/%.o $(O)/tests/libsupport.a $(O)/libkamino.a
	$(call say,LD,$@)
	$(Q)$(CC) $(KM_CFLAGS) $(CFLAGS) $(KM_LDFLAGS) $(LDFLAGS) $(sort $(filter %.o,$^)) $(filter %.a,$^) $(LIBS) $(TEST_LIBS) -o $@

$(O)/tests/unit/ring_bench_test: $(O)/perf/ring_bench.o

# The test's own allocators come first, so that it can make them fail.
$(O)/tests/unit/ring_test: KM_LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=aligned_alloc
$(O)/tests/unit/lib_test: KM_LDFLAGS += -Wl,--wrap=clock_gettime
$(addprefix $(O)/tests/unit/,arena_test slots_test cache_test topo_test estimate_test): KM_LDFLAGS += -Wl,--wrap=calloc
# The kernel's side of perf events is the test's own.
$(O)/tests/unit/counters_test: $(O)/perf/counters.o
$(O)/tests/unit/counters_test: KM_LDFLAGS += -Wl,--wrap=syscall,--wrap=read,--wrap=prctl
$(O)/tests/unit/runtime_test: KM_LDFLAGS += \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=pthread_create

$(O)/tests/unit/eval_test: KM_LDFLAGS += -Wl,--wrap=getrusage

# What kamino top is made of, without its terminal.
TOP_OBJ := $(addprefix $(O)/tools/,segment.o top_figures.o top_page.o top_json.o)
$(O)/tests/unit/segment_test: $(TOP_OBJ)
$(O)/tests/fuzz/segment_fuzz: $(TOP_OBJ)

$(O)/perf/decision_probe: $(addprefix $(O)/perf/,dispatch_play.o dispatch_rivals.o dispatch_world.o)

$(O)/perf/%: $(O)/perf/%.o $(O)/libkamino.a
	$(call say,LD,$@)
	$(Q)$(CC) $(KM_CFLAGS) $(CFLAGS) $(KM_LDFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

perf: $(addprefix $(O)/perf/,$(PERF)) ## the measuring programs

bench-compare: all ## is this tree faster than BASE=rev? BENCH=dispatch or JOB=file, ARGS= PAIRS=10
	$(Q)CC='$(CC)' CFLAGS='$(CFLAGS)' perf/compare.sh '$(O)' '$(or $(BASE),HEAD)' --pairs $(or $(PAIRS),10) \
		-- bench $(if $(JOB),--job $(JOB),$(or $(BENCH),dispatch)) $(ARGS)

check: ## installs what is missing, builds, runs all tests
	$(Q)scripts/deps.sh check
	$(Q)$(MAKE) -j$(JOBS) all $(TESTS) $(STRESS_TESTS) $(O)/perf/decision_probe
	$(Q)$(MAKE) check-run
check-run:
	$(Q)KAMINO=$(O)/kamino CMOCKA_MESSAGE_OUTPUT=TAP SECS=$${SECS:-2} \
		prove --exec scripts/run-tap.sh --timer $(TESTS) $(STRESS_TESTS) $(SCRIPTS)

check-san: all $(TESTS) $(STRESS_TESTS) ## the same under SAN=, each stress test for a second
	$(Q)KAMINO=$(O)/kamino CMOCKA_MESSAGE_OUTPUT=TAP SECS=$${SECS:-1} \
		TSAN_OPTIONS="suppressions=$(CURDIR)/scripts/tsan.supp $$TSAN_OPTIONS" \
		prove --exec scripts/run-tap.sh --timer $(TESTS) $(STRESS_TESTS) tests/cli/run_test.py

check-zone: all ## the real sample (KAMINO_DATA) and a million servers, audited
	$(Q)KAMINO=$(O)/kamino prove --exec scripts/run-tap.sh --timer --verbose tests/zone/zone_test.py

check-arm64: all ## cross-built for arm64: unit and model tests emulated, the simulator's bytes compared
	$(Q)scripts/deps.sh arm64
	$(Q)scripts/check-arm64.sh '$(O)' '$(addprefix unit/,$(UNIT)) $(addprefix model/,$(MODEL))'

demo: ## installs what is missing, builds, serves the built-in zone under every policy; a report
	$(Q)scripts/deps.sh
	$(Q)$(MAKE) -j$(JOBS) all
	$(Q)$(O)/kamino run --policy all --json-out $(O)/demo.json
	$(Q)$(O)/kamino report $(O)/demo.json -o $(O)/demo.html
	@echo; echo "the same as one JSON document: $(O)/demo.json"
	@echo "as a page with pictures: $(O)/demo.html"

stress: $(STRESS_TESTS) ## the contended tests, SECS= seconds each (10)
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP SECS=$${SECS:-10} prove --exec scripts/run-tap.sh --timer $(STRESS_TESTS)

check-breaks: ## each ordering label, weakened, makes a test fail
	$(Q)CC='$(CC)' FLAGS='$(CPPFLAGS) $(KM_CFLAGS) $(CFLAGS)' SRC='$(LIB_SRC)' \
		LIBS='$(LIBS) $(TEST_LIBS)' OUT='$(O)/breaks' scripts/check-breaks.sh

lint: ## layers, headers, ordering labels, licence lines, doc comments, form
	$(Q)failed=; for script in check-layers check-headers check-pairs lint-text lint-form; do \
		test ! -x scripts/$$script.sh || CC='$(CC)' scripts/$$script.sh || failed="$$failed $$script"; \
	done; test -z "$$failed" || { echo "lint: failed:$$failed" >&2; exit 1; }

format: ## clang-format in place; FILES="a.c b.h", default all
	$(Q)scripts/lint-form.sh --fix $(FILES)

.PHONY: fuzz fuzz-run
fuzz: ## mutated inputs under the sanitizers, SECS= seconds a program (10)
	$(Q)$(MAKE) O=$(O)-fuzz SAN=address,undefined fuzz-run
fuzz-run: $(addprefix $(O)/tests/fuzz/,$(FUZZ))
	$(Q)for fuzz in $^; do SECS=$${SECS:-10} $$fuzz || exit 1; done

man: $(O)/man/kamino.1 ## the man pages, from what the command says of itself
$(O)/man/kamino.1: scripts/man.sh $(O)/kamino
	$(call say,MAN,$(@D))
	$(Q)scripts/man.sh $(O)/kamino $(@D) $(shell git log -1 --format=%cs 2>/dev/null)

install: all man ## binary, library, headers, man pages and kamino.pc; DESTDIR= PREFIX=
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(O)/kamino $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(O)/libkamino.a $(DESTDIR)$(PREFIX)/lib/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(O)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	for header in include/kamino/kamino.h $(wildcard $(MODULES:=/*.h)); do \
		case $$header in *_internal.h) continue ;; esac; \
		install -D -m 644 $$header $(DESTDIR)$(PREFIX)/include/kamino/$${header#include/kamino/} || exit 1; \
	done
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: kamino' \
		'Description: dispatch to the worker that will finish first' 'Version: $(VERSION)' \
		'Requires: $(PKGS)' 'Cflags: -I$${prefix}/include/kamino -D_GNU_SOURCE' \
		'Libs: -L$${prefix}/lib -lkamino -lurcu-common -lm -pthread' \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/kamino.pc

clean: ## remove this build
	$(Q)rm -rf $(O)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(RIVAL_OBJ:.o=.d) $(TESTS:=.d) $(STRESS_TESTS:=.d)
