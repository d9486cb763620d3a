/* Style and script of the page, made from page.css and page.js by the Makefile. */
#ifndef NNCLR_EVAL_PAGE_TEXT_H
#define NNCLR_EVAL_PAGE_TEXT_H

extern const char nnclr_page_css[], nnclr_page_js[];

#endif
