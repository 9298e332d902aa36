"""The widget: a bubble on other people's pages, and the light page of ours that it opens.

The server decides what a site may do: who may frame the page (`frame-ancestors`), which passages may answer its
visitors, and how often they may ask. A site's key stands in its pages and is no secret.
"""
