/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/report_css.h - the style sheet of a report.
 */
#ifndef KM_TOOLS_REPORT_CSS_H
#define KM_TOOLS_REPORT_CSS_H

extern const char report_css[];

#endif
