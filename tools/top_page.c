/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top_page.c - a look at a run as lines of text, 80 columns wide; what makes
 * the type of a request stands beyond.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/top_internal.h"

struct page {
	const struct top_page_cfg *cfg;
	struct top_line *line;
	uint32_t nr, cap;
};

/* A number's text, in a cell of its own. */
struct cell {
	char text[32];
};

static void add(struct page *page, enum top_style style, const char *fmt, ...) KM_PRINTF(3, 4);

static void add(struct page *page, enum top_style style, const char *fmt, ...)
{
	va_list args;

	if (page->nr == page->cap)
		return;
	va_start(args, fmt);
	vsnprintf(page->line[page->nr].text, TOP_LINE_BYTES, fmt, args);
	va_end(args);
	page->line[page->nr++].style = style;
}

/* ---- numbers ----------------------------------------------------------------------- */

/* At most six characters. */
static struct cell number(double value)
{
	static const char units[] = " kMGTPE";
	struct cell cell;
	size_t unit = 0;

	if (isnan(value)) {
		snprintf(cell.text, sizeof(cell.text), "-");
		return cell;
	}
	if (value < 999999.5) {
		snprintf(cell.text, sizeof(cell.text), "%.0f", value);
		return cell;
	}
	for (; value >= 9999.5 && units[unit + 1]; unit++)
		value /= 1000;
	snprintf(cell.text, sizeof(cell.text), "%.0f%c", value, units[unit]);
	return cell;
}

static struct cell count(uint64_t value)
{
	return number((double)value);
}

/* A time with its unit, three digits, at most six characters: 950ns, 4.10us, 12.3ms, 126s. */
static struct cell span(uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	struct cell cell;
	size_t unit = 0;

	if (!ns)
		return number(0);
	for (; value >= 999.5 && unit + 1 < KM_ARRAY_NR(units); unit++)
		value /= 1000;
	if (value >= 9999.5)
		return number(value);
	snprintf(cell.text, sizeof(cell.text), "%.*f%s",
		 !unit || value >= 99.95 ? 0
		 : value >= 9.995	 ? 1
					 : 2,
		 value, units[unit]);
	return cell;
}

static struct cell percent(double share)
{
	struct cell cell;

	if (isnan(share))
		snprintf(cell.text, sizeof(cell.text), "-");
	else if (share < 9.9995)
		snprintf(cell.text, sizeof(cell.text), "%.1f", 100 * share);
	else
		return number(100 * share);
	return cell;
}

static struct cell mib(uint64_t bytes)
{
	double value = (double)bytes / 1048576.0;
	struct cell cell;

	if (value >= 9999.95)
		return number(value);
	snprintf(cell.text, sizeof(cell.text), "%.1f", value);
	return cell;
}

/* ---- the head ----------------------------------------------------------------------- */

static void add_title(struct page *page)
{
	const struct top_look *look = page->cfg->look;
	const struct km_seg_run *run = look->block.run;
	char which[80] = "", name[48] = "", progress[96] = "";

	if (run->policy_idx && run->policy_nr > 1)
		snprintf(which, sizeof(which), " (%s of %s)", count(run->policy_idx).text,
			 count(run->policy_nr).text);
	if (look->head->name[0])
		snprintf(name, sizeof(name), " %s", look->head->name);
	if (run->phase_all)
		snprintf(progress, sizeof(progress), " %" PRIu64 " of %" PRIu64 " (%s %%)",
			 run->phase_done, run->phase_all,
			 percent((double)run->phase_done / (double)run->phase_all).text);
	add(page, TOP_BOLD, "kamino run %" PRIu64 "%s: %s%s%s%s%s", look->head->pid, name,
	    run->policy, run->policy[0] ? which : "", run->policy[0] ? ", " : "", run->phase,
	    progress);
	if (look->trouble)
		add(page, TOP_ALARM, "%s; figures are %.1f s old", look->trouble, look->age_s);
	else if (page->cfg->frozen)
		add(page, TOP_ALARM, "frozen; figures are %.1f s old", look->age_s);
	else if (look->age_s > 2)
		add(page, TOP_PLAIN, "figures are %.1f s old", look->age_s);
	else if (run->policy[0])
		add(page, TOP_PLAIN, "rates of the last %.1f s", page->cfg->fig->window_s);
}

static void add_head(struct page *page)
{
	const struct top_figures *fig = page->cfg->fig;
	const struct km_seg_run *run = page->cfg->look->block.run;

	add(page, TOP_PLAIN, "requests   %s/s, %s done, %s in flight, %s waiting; %s refused",
	    number(fig->done_per_s).text, count(fig->done).text, count(fig->in_flight).text,
	    count(run->waiting).text, count(fig->refused).text);
	add(page, TOP_PLAIN, "decisions  %s/s, p50 %s ns, p99 %s ns; all: p50 %s, p99 %s, max %s",
	    number(fig->decided_per_s).text, count(run->window_decision_ns_p50).text,
	    count(run->window_decision_ns_p99).text, count(run->decision_ns_p50).text,
	    count(run->decision_ns_p99).text, count(run->decision_ns_max).text);
	add(page, TOP_PLAIN, "estimates  time error %s %% (all: %s), events right %s %% (all: %s)",
	    percent(fig->time_error).text, percent(fig->time_error_all).text,
	    percent(fig->event_accuracy).text, percent(fig->event_accuracy_all).text);
	add(page, TOP_PLAIN, "caches     top hits %s %%, rule hits %s %%, %s MiB an agent at most",
	    percent(fig->top_rate).text, percent(fig->rule_rate).text, mib(run->cache_bytes).text);
	add(page, TOP_PLAIN, "store      %s commits, %s conflicts; over %s, affinity %s, other %s",
	    count(run->store_commits).text, count(run->judge.conflicts).text,
	    count(run->store_over).text, count(run->store_affinity).text,
	    number((double)run->store_duplicate + (double)run->store_bad).text);
}

/* ---- tables ------------------------------------------------------------------------- */

static const char *const sort_names[TOP_SORT_NR] = {
	[TOP_BY_QUEUE] = "queue", [TOP_BY_WAIT] = "wait",     [TOP_BY_RATE] = "done/s",
	[TOP_BY_BUSY] = "busy",	  [TOP_BY_HITS] = "top hits", [TOP_BY_AGENT] = "agent",
};

const char *top_sort_name(enum top_sort sort)
{
	return sort_names[sort];
}

const char *top_outcome_name(uint64_t outcome)
{
	static const char *const names[KM_OUTCOME_NR] = {
		[KM_PENDING] = "pending", [KM_PLACED] = "placed",   [KM_NO_ROOM] = "no room",
		[KM_GAVE_UP] = "gave up", [KM_BAD_REQUEST] = "bad", [KM_AT_DOOR] = "door",
	};

	return names[outcome < KM_OUTCOME_NR ? outcome : KM_PENDING];
}

static void add_agents(struct page *page)
{
	const struct top_page_cfg *cfg = page->cfg;
	const struct km_seg_block *block = &cfg->look->block;
	uint32_t i, end = cfg->first + cfg->agent_rows;

	add(page, TOP_BAR, "%5s %5s %4s %6s %7s %7s %5s %7s %7s %5s %5s %6s", "agent", "cpu",
	    "node", "queue", "wait", "left", "busy%", "done/s", "done", "top%", "rule%", "MiB");
	for (i = cfg->first; i < end && i < block->agent_nr; i++) {
		const struct top_agent *agent = &cfg->fig->agent[i];
		const struct km_seg_agent *raw = &block->agent[agent->idx];

		add(page, TOP_PLAIN, "%5" PRIu32 " %4s%c %4s %6s %7s %7s %5s %7s %7s %5s %5s %6s",
		    agent->idx, count(raw->cpu).text, raw->owned ? ' ' : '~', count(raw->node).text,
		    count(agent->queued_nr).text, span(raw->wait_ns).text,
		    span(raw->remaining_ns).text, percent(agent->busy_share).text,
		    number(agent->done_per_s).text, count(raw->now.served).text,
		    percent(agent->top_rate).text, percent(agent->rule_rate).text,
		    mib(raw->cache_bytes).text);
	}
}

/* "top", or how many rule objects were there. */
static struct cell hit(uint64_t top_hit, uint64_t rule_hits)
{
	struct cell cell;

	if (top_hit)
		snprintf(cell.text, sizeof(cell.text), "top");
	else
		snprintf(cell.text, sizeof(cell.text), "%s", count(rule_hits).text);
	return cell;
}

static void add_decision(struct page *page, const struct km_seg_decision *d)
{
	struct cell second = { "-" }, margin = { "-" };
	char real[128] = "";

	if (d->runner_up != UINT32_MAX) {
		second = count(d->runner_up);
		margin = span(d->margin_ns);
	}
	if (d->done)
		snprintf(real, sizeof(real), "%6s %6s %3.3s %-7s", span(d->real_wait_ns).text,
			 span(d->real_processing_ns).text,
			 hit(d->real_top_hit, d->real_rule_hits).text,
			 top_outcome_name(d->outcome));
	else
		snprintf(real, sizeof(real), "%6s %6s %3s %-7s", "-", "-", "-", "-");
	add(page, TOP_PLAIN, "%6s %4s %5s %6s %6s %6s %3.3s %4s %6s %s  %s", count(d->req_id).text,
	    count(d->type_id).text, count(d->agent).text, span(d->wait_ns).text,
	    span(d->remaining_ns).text, span(d->processing_ns).text,
	    hit(d->top_hit, d->rule_hit_nr).text, second.text, margin.text, real, d->type_name);
}

/* Newest first; of those under way at most a third, or there were no others at high rates. */
static void add_decisions(struct page *page)
{
	const struct top_page_cfg *cfg = page->cfg;
	uint32_t i, rows = 0, pending = 0, pending_max = KM_DIV_UP(cfg->decision_rows, 3);

	add(page, TOP_BAR, "%6s %4s %5s %6s %6s %6s %3s %4s %6s %6s %6s %3s %-7s  %s", "requ.",
	    "type", "agent", "wait", "+ left", "+ work", "hit", "2nd", "later", "r.wait", "r.work",
	    "hit", "outcome", "of type");
	for (i = 0; rows < cfg->decision_rows && i < cfg->fig->decision_nr; i++) {
		const struct km_seg_decision *d = &cfg->fig->decision[i];

		if (!d->done && pending++ >= pending_max)
			continue;
		add_decision(page, d);
		rows++;
	}
}

uint32_t top_page_make(const struct top_page_cfg *cfg, struct top_line *line, uint32_t cap)
{
	struct page page = { .cfg = cfg, .line = line, .cap = cap };

	add_title(&page);
	if (cfg->look->block.run->policy[0]) {
		add_head(&page);
		if (cfg->agent_rows)
			add_agents(&page);
		if (cfg->decision_rows)
			add_decisions(&page);
	}
	return page.nr;
}
