/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/top_screen.c - the terminal of "kamino top"; the only user of curses.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/top_internal.h"

#ifdef KM_HAVE_CURSES
#include <curses.h>

#define CTRL_L 12

static SCREEN *screen;

static bool wants_colours(void)
{
	const char *no = getenv("NO_COLOR");

	return (!no || !no[0]) && has_colors() && start_color() == OK && use_default_colors() == OK;
}

int top_screen_open(struct km_diag *diag)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return km_diag_set(
			diag, -ENOTTY, NULL, 0, 0,
			"this is no terminal; --once prints one look, --json a document");
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return km_diag_set(
			diag, -ENOTTY, NULL, 0, 0,
			"no terminal of type '%s' is known here; set TERM, or use --once",
			getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (wants_colours())
		init_pair(1, COLOR_RED, -1);
	return 0;
}

void top_screen_close(void)
{
	endwin();
	delscreen(screen);
	screen = NULL;
}

void top_screen_size(uint32_t *rows, uint32_t *columns)
{
	*rows = (uint32_t)getmaxy(stdscr);
	*columns = (uint32_t)getmaxx(stdscr);
}

static attr_t look_of(enum top_style style)
{
	switch (style) {
	case TOP_BOLD:
		return A_BOLD;
	case TOP_BAR:
		return A_REVERSE;
	case TOP_ALARM:
		return A_BOLD | (attr_t)COLOR_PAIR(1);
	case TOP_PLAIN:
		break;
	}
	return A_NORMAL;
}

/* To the end of the row, and no further: curses would wrap what is longer. */
static void put_row(uint32_t row, const char *text, attr_t look)
{
	move((int)row, 0);
	clrtoeol();
	attrset(look);
	addnstr(text, getmaxx(stdscr));
	attrset(A_NORMAL);
}

void top_screen_show(const struct top_line *line, uint32_t nr, const char *foot)
{
	uint32_t rows, columns, i;

	top_screen_size(&rows, &columns);
	erase();
	for (i = 0; i < nr && i + 1 < rows; i++)
		put_row(i, line[i].text, look_of(line[i].style));
	if (rows)
		put_row(rows - 1, foot, A_REVERSE);
	refresh();
}

enum top_key top_screen_key(int wait_ms)
{
	timeout(wait_ms);
	switch (getch()) {
	case 'q':
	case 'Q':
		return TOP_KEY_QUIT;
	case 's':
		return TOP_KEY_SORT;
	case ' ':
		return TOP_KEY_FREEZE;
	case KEY_UP:
	case 'k':
		return TOP_KEY_UP;
	case KEY_DOWN:
	case 'j':
		return TOP_KEY_DOWN;
	case KEY_PPAGE:
		return TOP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return TOP_KEY_PAGE_DOWN;
	case KEY_HOME:
		return TOP_KEY_HOME;
	case KEY_END:
		return TOP_KEY_END;
	case CTRL_L:
		clearok(stdscr, TRUE);
		return TOP_KEY_REDRAW;
	case KEY_RESIZE:
		return TOP_KEY_REDRAW;
	default:
		return TOP_KEY_NONE;
	}
}

#else /* without curses: --once only */

int top_screen_open(struct km_diag *diag)
{
	return km_diag_set(diag, -ENOSYS, NULL, 0, 0,
			   "built without curses: use --once, or install libncurses-dev and build "
			   "again");
}

void top_screen_close(void)
{
}

void top_screen_size(uint32_t *rows, uint32_t *columns)
{
	*rows = *columns = 0;
}

void top_screen_show(const struct top_line *line, uint32_t nr, const char *foot)
{
	(void)line;
	(void)nr;
	(void)foot;
}

enum top_key top_screen_key(int wait_ms)
{
	(void)wait_ms;
	return TOP_KEY_QUIT;
}

#endif
