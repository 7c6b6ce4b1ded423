"""Settings of Sphinx for the site; build.py gathers its pages."""

project = "emul"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "emul"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"footer_icons": [], "top_of_page_buttons": []}
html_show_search_summary = False  # would be fetched, which a browser refuses for files
html_static_path = ["static"]
html_css_files = ["emul.css"]
