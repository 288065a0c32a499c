"""Reading a model with few features, as one reads a small machine: what each part does, with its numbers.

`features` and `reading.read` say where the features are; `boxplots`, `trees`, `components`, `pixels`, `filters` and
`classifiers` each answer one question of them; `polarity` tells white backgrounds from black ones.

Source: España, Sensitivity analysis of the CNN learning process using synthetic images, 2021, section III.
"""
